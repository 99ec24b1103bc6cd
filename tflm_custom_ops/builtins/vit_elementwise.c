// SPDX-License-Identifier: Apache-2.0
#include "vit_add_mve.h"
#include "vit_builtins.h"
#include "vit_rescale.h"

#define ADD_LEFT_SHIFT 20  // TFLite's headroom for the operands of ADD

static int32_t offset_of(const int32_t strides[4], int32_t i, int32_t j, int32_t k) {
  return i * strides[0] + j * strides[1] + k * strides[2];
}

static void add_row(const VitAddParams* p, const int8_t* a, const int8_t* b, int8_t* y) {
#if VIT_USE_MVE
  if (p->a_strides[3] <= 1 && p->b_strides[3] <= 1) {
    vit_mve_add_row(p, ADD_LEFT_SHIFT, a, b, y);
    return;
  }
#endif
  for (int32_t i = 0; i < p->shape[3]; ++i) {
    const int32_t wide_a = (a[i * p->a_strides[3]] - p->a_zero_point) * (1 << ADD_LEFT_SHIFT);
    const int32_t wide_b = (b[i * p->b_strides[3]] - p->b_zero_point) * (1 << ADD_LEFT_SHIFT);
    const int32_t sum = vit_rescale(wide_a, p->a_multiplier, p->a_shift) +
                        p->sign * vit_rescale(wide_b, p->b_multiplier, p->b_shift);
    const int32_t value = vit_rescale(sum, p->out_multiplier, p->out_shift);
    y[i] = (int8_t)vit_clamp_i32(value + p->output_zero_point, p->out_min, p->out_max);
  }
}

void vit_add(const VitAddParams* params, const int8_t* a, const int8_t* b, int8_t* y) {
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

static void mul_row(const VitMulParams* p, const int8_t* a, const int8_t* b, int8_t* y) {
  for (int32_t i = 0; i < p->shape[3]; ++i) {
    const int32_t product =
        (a[i * p->a_strides[3]] - p->a_zero_point) * (b[i * p->b_strides[3]] - p->b_zero_point);
    const int32_t value = vit_rescale(product, p->out_multiplier, p->out_shift);
    y[i] = (int8_t)vit_clamp_i32(value + p->output_zero_point, p->out_min, p->out_max);
  }
}

void vit_mul(const VitMulParams* params, const int8_t* a, const int8_t* b, int8_t* y) {
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
