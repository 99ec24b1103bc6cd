// SPDX-License-Identifier: Apache-2.0
// TFLite's fixed-point rescaling (builtins/vit_rescale.h) on cores with Helium: a doubled high
// product, rounded half up, and a right shift, rounded half away from zero: one less where the
// number is negative, and half up.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_RESCALE_MVE_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_RESCALE_MVE_H_

#include "vit_gemm_mve_layout.h"

#if VIT_USE_MVE

#include <arm_mve.h>
#include <stdint.h>

// Channels with a factor each. |x| << shift < 2^31 where a shift is to the left.
static inline int32x4_t vit_mve_rescale_channels(int32x4_t x, int32x4_t multiplier,
                                                 int32x4_t shift) {
  const int32x4_t zero = vdupq_n_s32(0), right = vminq_s32(shift, zero);
  const int32x4_t high = vqrdmulhq_s32(vshlq_s32(x, vmaxq_s32(shift, zero)), multiplier);
  const int32x4_t less = vshrq_n_s32(vandq_s32(high, right), 31);
  return vrshlq_s32(vqaddq_s32(high, less), right);
}

// One factor; left >= 0 and right <= 0 are the parts of its shift.
typedef struct {
  int32_t multiplier;
  int32_t left;
  int32_t right;
} VitMveFactor;

static inline VitMveFactor vit_mve_factor(int32_t multiplier, int32_t shift) {
  return (VitMveFactor){multiplier, shift > 0 ? shift : 0, shift < 0 ? shift : 0};
}

static inline int32x4_t vit_mve_rescale(int32x4_t x, VitMveFactor f) {
  const int32x4_t high = vqrdmulhq_n_s32(vshlq_r_s32(x, f.left), f.multiplier);
  const int32x4_t less = vshrq_n_s32(vandq_s32(high, vdupq_n_s32(f.right)), 31);
  return vrshlq_n_s32(vqaddq_s32(high, less), f.right);
}

#endif  // VIT_USE_MVE
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_RESCALE_MVE_H_
