// SPDX-License-Identifier: Apache-2.0
#include "vit_builtins.h"
#include "vit_reciprocal.h"

#define SUM_BITS 12  // integer bits of a row's sum

static int32_t power(const VitSoftmaxInt8Params* p, int32_t below) {
  return below < p->steps ? p->exponentials[below] : 0;
}

// Row number `row`.
static void softmax_row(const VitSoftmaxInt8Params* p, const int8_t* x, void* y, size_t row) {
  const size_t start = row * (size_t)p->columns;
  int32_t largest = INT8_MIN;
  x += start;
  for (int32_t i = 0; i < p->columns; ++i) largest = x[i] > largest ? x[i] : largest;
  uint32_t sum = 0;
  for (int32_t i = 0; i < p->columns; ++i) {
    sum += ((uint32_t)power(p, largest - x[i]) + (1u << (SUM_BITS - 1))) >> SUM_BITS;
  }
  const int32_t zeros = vit_leading_zeros(sum);
  const int32_t scale = vit_one_over_one_plus((int32_t)((sum << zeros) - 0x80000000u));
  const int32_t shift = SUM_BITS - zeros + 31 - p->output_bits;
  const int32_t low = -(1 << (p->output_bits - 1));
  for (int32_t i = 0; i < p->columns; ++i) {
    const int32_t value = vit_rescale(scale, power(p, largest - x[i]), -shift) + low;
    const int32_t clamped = vit_clamp_i32(value, low, -low - 1);
    if (p->output_bits == 8) {
      ((int8_t*)y)[start + (size_t)i] = (int8_t)clamped;
    } else {
      ((int16_t*)y)[start + (size_t)i] = (int16_t)clamped;
    }
  }
}

void vit_softmax_int8(const VitSoftmaxInt8Params* params, const int8_t* x, void* y) {
  for (int32_t row = 0; row < params->rows; ++row) softmax_row(params, x, y, (size_t)row);
}
