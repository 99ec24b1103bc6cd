// SPDX-License-Identifier: Apache-2.0
#include "vit_builtins.h"
#include "vit_rescale.h"
#include "vit_windows_mve.h"

static inline int32_t min_i32(int32_t a, int32_t b) { return a < b ? a : b; }

#if VIT_USE_MVE
static void average_pixel(const VitPool2DParams* p, const VitMvePatch* patch, int8_t* y) {
  const int32_t channels = p->window.output_channels;
  const int32_t count =
      (patch->rows.end - patch->rows.begin) * (patch->columns.end - patch->columns.begin);
  for (int32_t c = 0; c < channels; c += 4) {
    int32_t sums[4];
    const int32_t some = min_i32(4, channels - c);
    vit_mve_pool_sums(patch, c, vctp32q((uint32_t)some), sums);
    for (int32_t i = 0; i < some; ++i) {
      const int32_t half = sums[i] > 0 ? count / 2 : -(count / 2);
      y[c + i] = (int8_t)vit_clamp_i32((sums[i] + half) / count, p->out_min, p->out_max);
    }
  }
}

void vit_pool_2d(const VitPool2DParams* params, const int8_t* x, int8_t* y) {
  const VitWindow* w = &params->window;
  for (int32_t oy = 0; oy < w->output_height; ++oy) {
    for (int32_t ox = 0; ox < w->output_width; ++ox, y += w->output_channels) {
      const VitMvePatch patch = vit_mve_patch(w, x, oy, ox);
      (params->average ? average_pixel : vit_mve_largest_pixel)(params, &patch, y);
    }
  }
}
#else
static inline int32_t max_i32(int32_t a, int32_t b) { return a > b ? a : b; }

// One channel of one window that lies inside the image at [top, bottom) x [left, right).
static int32_t pool_window(const VitPool2DParams* p, const int8_t* x, int32_t top, int32_t bottom,
                           int32_t left, int32_t right) {
  const VitWindow* w = &p->window;
  int32_t sum = 0;
  int32_t largest = INT8_MIN;
  for (int32_t row = top; row < bottom; ++row) {
    for (int32_t column = left; column < right; ++column) {
      const int32_t value =
          x[((size_t)row * (size_t)w->input_width + (size_t)column) * (size_t)w->input_channels];
      sum += value;
      largest = max_i32(largest, value);
    }
  }
  if (!p->average) return largest;
  const int32_t count = (bottom - top) * (right - left);
  return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

void vit_pool_2d(const VitPool2DParams* params, const int8_t* x, int8_t* y) {
  const VitWindow* w = &params->window;
  for (int32_t oy = 0; oy < w->output_height; ++oy) {
    const int32_t top = oy * w->stride_y - w->pad_top;
    const int32_t bottom = min_i32(top + w->kernel_height, w->input_height);
    for (int32_t ox = 0; ox < w->output_width; ++ox) {
      const int32_t left = ox * w->stride_x - w->pad_left;
      const int32_t right = min_i32(left + w->kernel_width, w->input_width);
      for (int32_t c = 0; c < w->output_channels; ++c) {
        const int32_t value =
            pool_window(params, x + c, max_i32(top, 0), bottom, max_i32(left, 0), right);
        *y++ = (int8_t)vit_clamp_i32(value, params->out_min, params->out_max);
      }
    }
  }
}
#endif  // VIT_USE_MVE
