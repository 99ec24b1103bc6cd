// SPDX-License-Identifier: Apache-2.0
// TFLite's fixed-point rescaling, which rounds twice.
#ifndef TFLM_CUSTOM_OPS_BUILTINS_VIT_RESCALE_H_
#define TFLM_CUSTOM_OPS_BUILTINS_VIT_RESCALE_H_

#include <stdint.h>

static inline int32_t vit_clamp_i32(int32_t value, int32_t low, int32_t high) {
  return value < low ? low : value > high ? high : value;
}

// MultiplyByQuantizedMultiplier: the doubling high product rounds half away from zero, then so
// does the right shift. |x| << shift < 2^31 where the shift is to the left.
static inline int32_t vit_rescale(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift > 0 ? 0 : -shift;
  const int64_t product = (int64_t)((int32_t)((uint32_t)x << left)) * multiplier;
  // Half away from zero: (product + 2^30) / 2^31 for products >= 0; for negative ones the
  // division truncates towards zero after subtracting 2^30 - 1.
  const int64_t nudged = product + (product >= 0 ? (1 << 30) : 1 - (1 << 30));
  const int32_t high = (int32_t)(nudged / ((int64_t)1 << 31));
  const int32_t mask = (int32_t)(((int64_t)1 << right) - 1);
  const int32_t threshold = (mask >> 1) + (high < 0);
  return (high >> right) + ((high & mask) > threshold);
}

#endif  // TFLM_CUSTOM_OPS_BUILTINS_VIT_RESCALE_H_
