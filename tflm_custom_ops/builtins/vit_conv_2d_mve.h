// SPDX-License-Identifier: Apache-2.0
// Convolution on cores with Helium: patches are rows of bytes with all their inputs, and the
// product (vit_gemm_mve.h) requantizes its own sums.
#ifndef TFLM_CUSTOM_OPS_BUILTINS_VIT_CONV_2D_MVE_H_
#define TFLM_CUSTOM_OPS_BUILTINS_VIT_CONV_2D_MVE_H_

#include "vit_builtins.h"
#include "vit_store_mve.h"

#if VIT_USE_MVE

static int8_t* vit_mve_fill(int8_t* to, int32_t count, int32_t value) {
  for (int32_t i = 0; i < count; i += 16) {
    vstrbq_p_s8(to + i, vdupq_n_s8((int8_t)value), vctp8q((uint32_t)(count - i)));
  }
  return to + count;
}

// The taps of a line of the kernel, in the line `x` of the image from column `left` on.
static int8_t* vit_mve_gather_line(const VitConv2DParams* p, const int8_t* x, int32_t left,
                                   int8_t* to) {
  const VitWindow* w = &p->window;
  const int32_t channels = w->input_channels;
  if (w->dilation_x == 1) {
    const int32_t begin = vit_clamp(-left, 0, w->kernel_width);
    const int32_t end = vit_clamp(w->input_width - left, begin, w->kernel_width);
    to = vit_mve_fill(to, begin * channels, p->input_zero_point);
    vit_mve_copy(to, x + (ptrdiff_t)(left + begin) * channels, (end - begin) * channels);
    to += (end - begin) * channels;
    return vit_mve_fill(to, (w->kernel_width - end) * channels, p->input_zero_point);
  }
  for (int32_t kx = 0; kx < w->kernel_width; ++kx, to += channels) {
    const int32_t ix = left + kx * w->dilation_x;
    if (ix >= 0 && ix < w->input_width) {
      vit_mve_copy(to, x + (ptrdiff_t)ix * channels, channels);
    } else {
      vit_mve_fill(to, channels, p->input_zero_point);
    }
  }
  return to;
}

// All inputs of an output pixel.
static void vit_mve_gather(const VitConv2DParams* p, const int8_t* x, int32_t pixel, int8_t* to) {
  const VitWindow* w = &p->window;
  const int32_t top = pixel / w->output_width * w->stride_y - w->pad_top;
  const int32_t left = pixel % w->output_width * w->stride_x - w->pad_left;
  const int32_t channels = w->input_channels;
  for (int32_t ky = 0; ky < w->kernel_height; ++ky) {
    const int32_t iy = top + ky * w->dilation_y;
    if (iy >= 0 && iy < w->input_height) {
      to = vit_mve_gather_line(p, x + (ptrdiff_t)iy * w->input_width * channels, left, to);
    } else {
      to = vit_mve_fill(to, w->kernel_width * channels, p->input_zero_point);
    }
  }
}

// Whether the image is its own patches, and the product reads them where they are.
static int vit_mve_is_pointwise(const VitConv2DParams* p, const int8_t* x) {
  const VitWindow* w = &p->window;
  return w->kernel_height == 1 && w->kernel_width == 1 && w->stride_y == 1 && w->stride_x == 1 &&
         w->pad_top == 0 && w->pad_left == 0 && w->input_height == w->output_height &&
         w->input_width == w->output_width && vit_mve_takes_int8(&p->linear, x);
}

// The whole operator, in `bytes` bytes of scratch; 0 where they hold no patch.
static int vit_mve_conv_2d(const VitConv2DParams* p, const int8_t* x, int8_t* y, void* scratch,
                           size_t bytes) {
  const VitLinearParams* linear = &p->linear;
  const int32_t pixels = p->window.output_height * p->window.output_width;
  const int32_t n = linear->out_features, k = linear->in_features;
  VitStore store = {0};
  store.function = vit_mve_store_rescaled;
  store.in = p->shift;
  store.out = y;
  store.out_stride = n;
  if (vit_mve_is_pointwise(p, x)) {
    vit_mve_linear_int8(linear, x, pixels, &store);
    return 1;
  }
  VitRows patches = {(int16_t*)scratch, vit_round_up(k, 16) / 2, 0};
  const int32_t most = (int32_t)(bytes / (size_t)(2 * patches.stride));
  if (most < 1) return 0;
  const VitExpansion none = {NULL, 0};
  for (int32_t pixel = 0; pixel < pixels; pixel += patches.rows) {
    patches.rows = vit_tile_rows(vit_min32(most, pixels - pixel));
    for (int32_t r = 0; r < patches.rows; ++r) {
      vit_mve_gather(p, x, pixel + r, vit_input_row(patches, r));
    }
    store.out = y + (ptrdiff_t)pixel * n;
    vit_linear_rows(linear, patches, (VitRange){0, n}, (VitRange){0, k}, none, &store);
  }
  return 1;
}

#endif  // VIT_USE_MVE
#endif  // TFLM_CUSTOM_OPS_BUILTINS_VIT_CONV_2D_MVE_H_
