// SPDX-License-Identifier: Apache-2.0
// Depthwise convolution and pooling on cores with Helium: channels are the lanes.
#ifndef TFLM_CUSTOM_OPS_BUILTINS_VIT_WINDOWS_MVE_H_
#define TFLM_CUSTOM_OPS_BUILTINS_VIT_WINDOWS_MVE_H_

#include "vit_builtins.h"
#include "vit_rescale_mve.h"

#if VIT_USE_MVE

// Taps [begin, end) of a line of a window from `first` on that lie in an image of `size`.
typedef struct {
  int32_t begin;
  int32_t end;
} VitMveTaps;

static inline VitMveTaps vit_mve_taps(int32_t first, int32_t taps, int32_t dilation, int32_t size) {
  VitMveTaps found = {0, taps};
  while (found.begin < taps && first + found.begin * dilation < 0) ++found.begin;
  while (found.end > found.begin && first + (found.end - 1) * dilation >= size) --found.end;
  return found;
}

// What of a window lies in the image, and its first pixel and weights there.
typedef struct {
  const VitWindow* w;
  const int8_t* x;
  VitMveTaps rows;
  VitMveTaps columns;
  int32_t step;  // bytes from a tap to the next one of a line
  int32_t line;  // ... from a line to the next one
} VitMvePatch;

static inline VitMvePatch vit_mve_patch(const VitWindow* w, const int8_t* x, int32_t oy,
                                        int32_t ox) {
  const int32_t top = oy * w->stride_y - w->pad_top, left = ox * w->stride_x - w->pad_left;
  VitMvePatch patch = {w,
                       x,
                       vit_mve_taps(top, w->kernel_height, w->dilation_y, w->input_height),
                       vit_mve_taps(left, w->kernel_width, w->dilation_x, w->input_width),
                       w->dilation_x * w->input_channels,
                       w->dilation_y * w->input_width * w->input_channels};
  const int32_t row = top + patch.rows.begin * w->dilation_y;
  const int32_t column = left + patch.columns.begin * w->dilation_x;
  patch.x += ((ptrdiff_t)row * w->input_width + column) * w->input_channels;
  return patch;
}

// Sums of four channels from `c` on: (x - zero_point) * weight.
static inline int32x4_t vit_mve_weigh(const VitMvePatch* patch, const int8_t* weights,
                                      int32_t zero_point, int32_t c, mve_pred16_t some) {
  const VitWindow* w = patch->w;
  const int32_t channels = w->output_channels, step = patch->step;
  int32x4_t sum = vdupq_n_s32(0);
  for (int32_t ky = patch->rows.begin; ky < patch->rows.end; ++ky) {
    const int8_t* x = patch->x + (ky - patch->rows.begin) * patch->line + c;
    const int8_t* weight = weights + (ky * w->kernel_width + patch->columns.begin) * channels + c;
    for (int32_t left = patch->columns.end - patch->columns.begin; left > 0; --left) {
      const int32x4_t v = vsubq_n_s32(vldrbq_z_s32(x, some), zero_point);
      sum = vaddq_s32(sum, vmulq_s32(v, vldrbq_z_s32(weight, some)));
      x += step;
      weight += channels;
    }
  }
  return sum;
}

// One output pixel; depth_multiplier is 1.
static inline void vit_mve_depthwise_pixel(const VitDepthwiseConv2DParams* p,
                                           const VitMvePatch* patch, int8_t* y) {
  const int32_t channels = p->window.output_channels;
  for (int32_t c = 0; c < channels; c += 4) {
    const mve_pred16_t some = vctp32q((uint32_t)(channels - c));
    const int32x4_t sum = vit_mve_weigh(patch, p->weights, p->input_zero_point, c, some);
    const int32x4_t v = vit_mve_rescale_channels(vaddq_s32(sum, vldrwq_z_s32(p->bias + c, some)),
                                                 vldrwq_z_s32(p->multiplier + c, some),
                                                 vldrwq_z_s32(p->shift + c, some));
    const int32x4_t w = vmaxq_s32(vaddq_n_s32(v, p->output_zero_point), vdupq_n_s32(p->out_min));
    vstrbq_p_s32(y + c, vminq_s32(w, vdupq_n_s32(p->out_max)), some);
  }
}

static inline void vit_mve_largest_pixel(const VitPool2DParams* p, const VitMvePatch* patch,
                                         int8_t* y) {
  const int32_t channels = p->window.output_channels;
  for (int32_t c = 0; c < channels; c += 16) {
    const mve_pred16_t some = vctp8q((uint32_t)(channels - c));
    int8x16_t largest = vdupq_n_s8(INT8_MIN);
    for (int32_t ky = patch->rows.begin; ky < patch->rows.end; ++ky) {
      const int8_t* x = patch->x + (ky - patch->rows.begin) * patch->line + c;
      for (int32_t left = patch->columns.end - patch->columns.begin; left > 0; --left) {
        largest = vmaxq_s8(largest, vldrbq_z_s8(x, some));
        x += patch->step;
      }
    }
    largest = vmaxq_s8(largest, vdupq_n_s8((int8_t)p->out_min));
    vstrbq_p_s8(y + c, vminq_s8(largest, vdupq_n_s8((int8_t)p->out_max)), some);
  }
}

// Sums of four channels from `c` on.
static inline void vit_mve_pool_sums(const VitMvePatch* patch, int32_t c, mve_pred16_t some,
                                     int32_t sums[4]) {
  int32x4_t sum = vdupq_n_s32(0);
  for (int32_t ky = patch->rows.begin; ky < patch->rows.end; ++ky) {
    const int8_t* x = patch->x + (ky - patch->rows.begin) * patch->line + c;
    for (int32_t left = patch->columns.end - patch->columns.begin; left > 0; --left) {
      sum = vaddq_s32(sum, vldrbq_z_s32(x, some));
      x += patch->step;
    }
  }
  vstrwq_s32(sums, sum);
}

#endif  // VIT_USE_MVE
#endif  // TFLM_CUSTOM_OPS_BUILTINS_VIT_WINDOWS_MVE_H_
