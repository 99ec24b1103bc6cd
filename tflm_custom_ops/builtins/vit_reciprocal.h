// SPDX-License-Identifier: Apache-2.0
// 1 / x in fixed point, as TFLite's GetReciprocal and gemmlowp compute it.
#ifndef TFLM_CUSTOM_OPS_BUILTINS_VIT_RECIPROCAL_H_
#define TFLM_CUSTOM_OPS_BUILTINS_VIT_RECIPROCAL_H_

#include "vit_rescale.h"

static inline int32_t vit_saturated_shift(int32_t x, int32_t bits) {
  const int64_t wide = (int64_t)x * ((int64_t)1 << bits);
  return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

// 1 / (1 + a) in Q0.31 of a in [0, 1], as gemmlowp's one_over_one_plus_x_for_x_in_0_1.
static inline int32_t vit_one_over_one_plus(int32_t a) {
  const int32_t half = (int32_t)(((int64_t)a + INT32_MAX + 1) >> 1);
  int32_t x = 1515870810 + vit_rescale(half, -1010580540, 0);
  for (int step = 0; step < 3; ++step) {
    const int32_t rest = (1 << 29) - vit_rescale(half, x, 0);
    x += vit_saturated_shift(vit_rescale(x, rest, 0), 2);
  }
  return vit_saturated_shift(x, 1);
}

// Of x > 0, as 32 bits.
static inline int32_t vit_leading_zeros(uint32_t x) {
  int32_t zeros = 0;
  while (!(x & 0x80000000u)) {
    x <<= 1;
    ++zeros;
  }
  return zeros;
}

#endif  // TFLM_CUSTOM_OPS_BUILTINS_VIT_RECIPROCAL_H_
