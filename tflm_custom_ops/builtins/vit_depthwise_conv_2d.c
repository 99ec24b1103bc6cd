// SPDX-License-Identifier: Apache-2.0
#include "vit_builtins.h"
#include "vit_rescale.h"
#include "vit_windows_mve.h"

// Exact sum of one output value.
static int32_t window_sum(const VitDepthwiseConv2DParams* p, const int8_t* x, int32_t top,
                          int32_t left, int32_t channel) {
  const VitWindow* w = &p->window;
  const int32_t input_channel = channel / p->depth_multiplier;
  int32_t sum = 0;
  for (int32_t ky = 0; ky < w->kernel_height; ++ky) {
    const int32_t row = top + ky * w->dilation_y;
    if (row < 0 || row >= w->input_height) continue;
    for (int32_t kx = 0; kx < w->kernel_width; ++kx) {
      const int32_t column = left + kx * w->dilation_x;
      if (column < 0 || column >= w->input_width) continue;
      const size_t at =
          ((size_t)row * (size_t)w->input_width + (size_t)column) * (size_t)w->input_channels;
      const size_t weight =
          ((size_t)ky * (size_t)w->kernel_width + (size_t)kx) * (size_t)w->output_channels +
          (size_t)channel;
      sum += (x[at + (size_t)input_channel] - p->input_zero_point) * p->weights[weight];
    }
  }
  return sum;
}

void vit_depthwise_conv_2d(const VitDepthwiseConv2DParams* params, const int8_t* x, int8_t* y) {
  const VitWindow* w = &params->window;
  for (int32_t oy = 0; oy < w->output_height; ++oy) {
    const int32_t top = oy * w->stride_y - w->pad_top;
    for (int32_t ox = 0; ox < w->output_width; ++ox) {
#if VIT_USE_MVE
      if (params->depth_multiplier == 1) {
        const VitMvePatch patch = vit_mve_patch(w, x, oy, ox);
        vit_mve_depthwise_pixel(params, &patch, y);
        y += w->output_channels;
        continue;
      }
#endif
      const int32_t left = ox * w->stride_x - w->pad_left;
      for (int32_t c = 0; c < w->output_channels; ++c) {
        const int32_t sum = window_sum(params, x, top, left, c) + params->bias[c];
        const int32_t value = vit_rescale(sum, params->multiplier[c], params->shift[c]);
        *y++ = (int8_t)vit_clamp_i32(value + params->output_zero_point, params->out_min,
                                     params->out_max);
      }
    }
  }
}
