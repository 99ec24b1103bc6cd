// SPDX-License-Identifier: Apache-2.0
// TFLite's fixed-point rescaling, which rounds twice.
#ifndef TFLM_CUSTOM_OPS_BUILTINS_VIT_RESCALE_H_
#define TFLM_CUSTOM_OPS_BUILTINS_VIT_RESCALE_H_

#include <stdint.h>

// The zero point of elements of a type: those of int16 have none.
#define VIT_ZERO_POINT(type, zero_point) (sizeof(type) == 1 ? (zero_point) : 0)

static inline int32_t vit_clamp_i32(int32_t value, int32_t low, int32_t high) {
  return value < low ? low : value > high ? high : value;
}

// x / 2^right, half away from zero.
static inline int32_t vit_rounding_shift(int32_t x, int32_t right) {
  const int32_t mask = (int32_t)(((uint32_t)1 << right) - 1);
  return (x >> right) + ((x & mask) > (mask >> 1) + (x < 0));
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
  return vit_rounding_shift(high, right);
}

// vit_rescale(x / 16) of a multiple of 16, shift <= 0: 16 times the product rounds 4 bits higher,
// where the low word has no part in it.
static inline int32_t vit_rescale_16(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t high = ((int32_t)(((int64_t)x * multiplier) >> 32) + 4) >> 3;
  return vit_rounding_shift(high, -shift);
}

#endif  // TFLM_CUSTOM_OPS_BUILTINS_VIT_RESCALE_H_
