// SPDX-License-Identifier: Apache-2.0
// TFLite's fixed-point rescaling, which rounds twice.
#ifndef TFLM_CUSTOM_OPS_BUILTINS_VIT_RESCALE_H_
#define TFLM_CUSTOM_OPS_BUILTINS_VIT_RESCALE_H_

#include <stdint.h>

static inline int32_t vit_clamp_i32(int32_t value, int32_t low, int32_t high) {
  return value < low ? low : value > high ? high : value;
}

// MultiplyByQuantizedMultiplier. |x| << shift < 2^31 where the shift is to the left.
//
// The doubling high product rounds half up: TFLite adds 2^30 to products >= 0 and 1 - 2^30 to
// negative ones, then divides by 2^31 towards zero, which equals adding 2^30 and rounding down in
// both cases. The right shift rounds half away from zero.
static inline int32_t vit_rescale(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift > 0 ? 0 : -shift;
  const int64_t product = (int64_t)((int32_t)((uint32_t)x << left)) * multiplier;
  const int32_t high = (int32_t)((product + (1 << 30)) >> 31);
  const int32_t mask = (int32_t)(((uint32_t)1 << right) - 1);
  return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0));
}

#endif  // TFLM_CUSTOM_OPS_BUILTINS_VIT_RESCALE_H_
