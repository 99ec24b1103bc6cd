// SPDX-License-Identifier: Apache-2.0
// ADD, SUB and MUL of int8 and of int16: each loop is written once, for a type of elements.
#include "vit_add_mve.h"
#include "vit_builtins.h"
#include "vit_rescale.h"

// TFLite's headroom for the operands of ADD.
#define ADD_LEFT_SHIFT_8 20
#define ADD_LEFT_SHIFT_16 15

static int32_t offset_of(const int32_t strides[4], int32_t i, int32_t j, int32_t k) {
  return i * strides[0] + j * strides[1] + k * strides[2];
}

// All rows of a result, with the function of one row.
#define ROWS(row)                                              \
  const int32_t* n = params->shape;                            \
  for (int32_t i = 0; i < n[0]; ++i) {                         \
    for (int32_t j = 0; j < n[1]; ++j) {                       \
      for (int32_t k = 0; k < n[2]; ++k, y += n[3]) {          \
        row(params, a + offset_of(params->a_strides, i, j, k), \
            b + offset_of(params->b_strides, i, j, k), y);     \
      }                                                        \
    }                                                          \
  }

#define ADD_ROW(type, left_shift)                                                               \
  for (int32_t i = 0; i < p->shape[3]; ++i) {                                                   \
    const int32_t wide_a =                                                                      \
        (a[i * p->a_strides[3]] - VIT_ZERO_POINT(type, p->a_zero_point)) * (1 << (left_shift)); \
    const int32_t wide_b =                                                                      \
        (b[i * p->b_strides[3]] - VIT_ZERO_POINT(type, p->b_zero_point)) * (1 << (left_shift)); \
    const int32_t sum = vit_rescale(wide_a, p->a_multiplier, p->a_shift) +                      \
                        p->sign * vit_rescale(wide_b, p->b_multiplier, p->b_shift);             \
    const int32_t value = vit_rescale(sum, p->out_multiplier, p->out_shift);                    \
    y[i] = (type)vit_clamp_i32(value + VIT_ZERO_POINT(type, p->output_zero_point), p->out_min,  \
                               p->out_max);                                                     \
  }

static void add_row_8(const VitAddParams* p, const int8_t* a, const int8_t* b, int8_t* y) {
#if VIT_USE_MVE
  if (p->a_strides[3] <= 1 && p->b_strides[3] <= 1) {
    vit_mve_add_row(p, ADD_LEFT_SHIFT_8, a, b, y);
    return;
  }
#endif
  ADD_ROW(int8_t, ADD_LEFT_SHIFT_8)
}

static void add_row_16(const VitAddParams* p, const int16_t* a, const int16_t* b, int16_t* y) {
  ADD_ROW(int16_t, ADD_LEFT_SHIFT_16)
}

void vit_add(const VitAddParams* params, const int8_t* a, const int8_t* b, int8_t* y) {
  ROWS(add_row_8)
}

void vit_add_int16(const VitAddParams* params, const int16_t* a, const int16_t* b, int16_t* y) {
  ROWS(add_row_16)
}

// Products of int16 are at most 2^30.
#define MUL_ROW(type)                                                                          \
  for (int32_t i = 0; i < p->shape[3]; ++i) {                                                  \
    const int32_t product = (a[i * p->a_strides[3]] - VIT_ZERO_POINT(type, p->a_zero_point)) * \
                            (b[i * p->b_strides[3]] - VIT_ZERO_POINT(type, p->b_zero_point));  \
    const int32_t value = vit_rescale(product, p->out_multiplier, p->out_shift);               \
    const int32_t shifted = value + VIT_ZERO_POINT(type, p->output_zero_point);                \
    y[i] = (type)vit_clamp_i32(shifted, p->out_min, p->out_max);                               \
  }

static void mul_row_8(const VitMulParams* p, const int8_t* a, const int8_t* b, int8_t* y) {
  MUL_ROW(int8_t)
}

static void mul_row_16(const VitMulParams* p, const int16_t* a, const int16_t* b, int16_t* y) {
  MUL_ROW(int16_t)
}

void vit_mul(const VitMulParams* params, const int8_t* a, const int8_t* b, int8_t* y) {
  ROWS(mul_row_8)
}

void vit_mul_int16(const VitMulParams* params, const int16_t* a, const int16_t* b, int16_t* y) {
  ROWS(mul_row_16)
}
