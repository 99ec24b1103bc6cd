// SPDX-License-Identifier: Apache-2.0
// Images resized, by the pixels around or by the nearest one.
#include <string.h>

#include "vit_builtins.h"

#define BITS 10  // of a position between two pixels
#define ONE (1 << BITS)

typedef struct {
  int32_t before;
  int32_t after;
  int32_t fraction;  // from `before`, 2^-10 pixels
} Between;

static Between between(int32_t index, int32_t size, int32_t scale, int32_t half_pixel) {
  const int32_t at = index * scale + (half_pixel ? scale / 2 - ONE / 2 : 0);
  const int32_t before = at > 0 ? at >> BITS : 0;
  const int32_t after = (at + ONE - 1) >> BITS;
  return (Between){before, after < size ? after : size - 1, at - before * ONE};
}

static int32_t mixed(int32_t a, int32_t b, int32_t fraction) {
  return a * (ONE - fraction) + b * fraction;
}

// Half away from zero.
static int8_t rounded(int32_t value) {
  const int32_t half = ONE * ONE / 2;
  return (int8_t)((value > 0 ? value + half : value - half) / (ONE * ONE));
}

static int8_t* bilinear_row(const VitResizeBilinearParams* p, const int8_t* x, int32_t row,
                            int8_t* y) {
  const Between v = between(row, p->input_height, p->height_scale, p->half_pixel);
  const int8_t* top = x + (size_t)v.before * (size_t)p->input_width * (size_t)p->channels;
  const int8_t* bottom = x + (size_t)v.after * (size_t)p->input_width * (size_t)p->channels;
  for (int32_t j = 0; j < p->output_width; ++j) {
    const Between h = between(j, p->input_width, p->width_scale, p->half_pixel);
    const int32_t left = h.before * p->channels;
    const int32_t right = h.after * p->channels;
    for (int32_t c = 0; c < p->channels; ++c) {
      const int32_t a = mixed(top[left + c], bottom[left + c], v.fraction);
      const int32_t b = mixed(top[right + c], bottom[right + c], v.fraction);
      *y++ = rounded(mixed(a, b, h.fraction));
    }
  }
  return y;
}

void vit_resize_bilinear(const VitResizeBilinearParams* params, const int8_t* x, int8_t* y) {
  const size_t image =
      (size_t)params->input_height * (size_t)params->input_width * (size_t)params->channels;
  for (int32_t batch = 0; batch < params->batches; ++batch, x += image) {
    for (int32_t row = 0; row < params->output_height; ++row) y = bilinear_row(params, x, row, y);
  }
}

void vit_resize_nearest(const VitResizeNearestParams* params, const void* x, void* y) {
  const size_t bytes = (size_t)params->pixel_bytes;
  const uint8_t* from = x;
  uint8_t* to = y;
  for (int32_t batch = 0; batch < params->batches; ++batch) {
    for (int32_t i = 0; i < params->output_height; ++i) {
      const uint8_t* row = from + (size_t)params->rows[i] * (size_t)params->input_width * bytes;
      for (int32_t j = 0; j < params->output_width; ++j, to += bytes) {
        memcpy(to, row + (size_t)params->columns[j] * bytes, bytes);
      }
    }
    from += (size_t)params->input_height * (size_t)params->input_width * bytes;
  }
}
