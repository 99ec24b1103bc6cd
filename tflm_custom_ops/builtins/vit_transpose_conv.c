// SPDX-License-Identifier: Apache-2.0
#include "vit_builtins.h"
#include "vit_rescale.h"

// The input row or column whose kernel element `tap` falls on output position `at`, or -1.
static int32_t source(int32_t at, int32_t tap, int32_t stride, int32_t size) {
  const int32_t distance = at - tap;
  if (distance < 0 || distance % stride != 0) return -1;
  const int32_t index = distance / stride;
  return index < size ? index : -1;
}

static int32_t dot(const int8_t* x, const int8_t* weights, int32_t count, int32_t zero_point) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; ++i) sum += (x[i] - zero_point) * weights[i];
  return sum;
}

// Sum of all kernel elements of one output channel that fall on [row, column].
static int32_t value_at(const VitTransposeConvParams* p, const int8_t* x, const int8_t* weights,
                        int32_t row, int32_t column) {
  const VitWindow* w = &p->window;
  int32_t sum = 0;
  for (int32_t k = 0; k < w->kernel_height; ++k) {
    const int32_t i = source(row + w->pad_top, k, w->stride_y, w->input_height);
    for (int32_t m = 0; i >= 0 && m < w->kernel_width; ++m) {
      const int32_t j = source(column + w->pad_left, m, w->stride_x, w->input_width);
      if (j < 0) continue;
      const int8_t* pixel =
          x + ((size_t)i * (size_t)w->input_width + (size_t)j) * (size_t)w->input_channels;
      const int8_t* tap =
          weights + ((size_t)k * (size_t)w->kernel_width + (size_t)m) * (size_t)w->input_channels;
      sum += dot(pixel, tap, w->input_channels, p->input_zero_point);
    }
  }
  return sum;
}

void vit_transpose_conv(const VitTransposeConvParams* params, const int8_t* x, int8_t* y) {
  const VitWindow* w = &params->window;
  const size_t kernel =
      (size_t)w->kernel_height * (size_t)w->kernel_width * (size_t)w->input_channels;
  for (int32_t row = 0; row < w->output_height; ++row) {
    for (int32_t column = 0; column < w->output_width; ++column) {
      for (int32_t o = 0; o < w->output_channels; ++o) {
        const int8_t* weights = params->weights + (size_t)o * kernel;
        const int32_t sum = value_at(params, x, weights, row, column) + params->bias[o];
        const int32_t value = vit_rescale(sum, params->multiplier[o], params->shift[o]);
        *y++ = (int8_t)vit_clamp_i32(value + params->output_zero_point, params->out_min,
                                     params->out_max);
      }
    }
  }
}
