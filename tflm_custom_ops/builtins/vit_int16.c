// SPDX-License-Identifier: Apache-2.0
// ADD, SUB, MUL and MEAN of int16, whose zero points are 0.
#include "vit_builtins.h"
#include "vit_rescale.h"

#define ADD_LEFT_SHIFT 15  // TFLite's headroom for int16 operands of ADD

static int32_t offset_of(const int32_t strides[4], int32_t i, int32_t j, int32_t k) {
  return i * strides[0] + j * strides[1] + k * strides[2];
}

static void add_row(const VitAddParams* p, const int16_t* a, const int16_t* b, int16_t* y) {
  for (int32_t i = 0; i < p->shape[3]; ++i) {
    const int32_t wide_a = a[i * p->a_strides[3]] * (1 << ADD_LEFT_SHIFT);
    const int32_t wide_b = b[i * p->b_strides[3]] * (1 << ADD_LEFT_SHIFT);
    const int32_t sum = vit_rescale(wide_a, p->a_multiplier, p->a_shift) +
                        p->sign * vit_rescale(wide_b, p->b_multiplier, p->b_shift);
    const int32_t value = vit_rescale(sum, p->out_multiplier, p->out_shift);
    y[i] = (int16_t)vit_clamp_i32(value, p->out_min, p->out_max);
  }
}

void vit_add_int16(const VitAddParams* params, const int16_t* a, const int16_t* b, int16_t* y) {
  const int32_t* n = params->shape;
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k, y += n[3]) {
        add_row(params, a + offset_of(params->a_strides, i, j, k),
                b + offset_of(params->b_strides, i, j, k), y);
      }
    }
  }
}

static void mul_row(const VitMulParams* p, const int16_t* a, const int16_t* b, int16_t* y) {
  for (int32_t i = 0; i < p->shape[3]; ++i) {
    const int32_t product = a[i * p->a_strides[3]] * b[i * p->b_strides[3]];  // <= 2^30
    const int32_t value = vit_rescale(product, p->out_multiplier, p->out_shift);
    y[i] = (int16_t)vit_clamp_i32(value, p->out_min, p->out_max);
  }
}

void vit_mul_int16(const VitMulParams* params, const int16_t* a, const int16_t* b, int16_t* y) {
  const int32_t* n = params->shape;
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k, y += n[3]) {
        mul_row(params, a + offset_of(params->a_strides, i, j, k),
                b + offset_of(params->b_strides, i, j, k), y);
      }
    }
  }
}

void vit_mean_int16(const VitMeanParams* params, const int16_t* x, int16_t* y) {
  const int32_t inner = params->inner;
  for (int32_t o = 0; o < params->outer; ++o, x += params->count * inner) {
    for (int32_t i = 0; i < inner; ++i) {
      int32_t sum = 0;
      for (int32_t n = 0; n < params->count; ++n) sum += x[n * inner + i];
      const int32_t value = vit_rescale(sum, params->out_multiplier, params->out_shift);
      *y++ = (int16_t)vit_clamp_i32(value, params->out_min, params->out_max);
    }
  }
}
