// SPDX-License-Identifier: Apache-2.0
// Arithmetic with broadcasting, beside ADD and MUL of int8.
#include "vit_broadcast.h"
#include "vit_rescale.h"

#define SQUARE_LEFT_SHIFT 7  // TFLite's headroom for the operands of SQUARED_DIFFERENCE

typedef struct {
  const void* params;
  const void* a;
  const void* b;
  void* y;
} Op;

static void square_element(const void* op, int32_t a, int32_t b, int32_t at) {
  const Op* o = op;
  const VitSquaredDifferenceParams* p = o->params;
  const int32_t left = ((const int8_t*)o->a)[a] - p->a_zero_point;
  const int32_t right = ((const int8_t*)o->b)[b] - p->b_zero_point;
  const int32_t difference =
      vit_rescale(left * (1 << SQUARE_LEFT_SHIFT), p->a_multiplier, p->a_shift) -
      vit_rescale(right * (1 << SQUARE_LEFT_SHIFT), p->b_multiplier, p->b_shift);
  const int32_t value = vit_rescale(difference * difference, p->out_multiplier, p->out_shift);
  const int32_t shifted = value + p->output_zero_point;
  ((int8_t*)o->y)[at] = (int8_t)vit_clamp_i32(shifted, INT8_MIN, INT8_MAX);
}

void vit_squared_difference(const VitSquaredDifferenceParams* params, const int8_t* a,
                            const int8_t* b, int8_t* y) {
  const Op op = {params, a, b, y};
  vit_broadcast(&params->over, square_element, &op);
}

static void extreme_element(const void* op, int32_t a, int32_t b, int32_t at) {
  const Op* o = op;
  const VitExtremeInt8Params* p = o->params;
  const int8_t left = ((const int8_t*)o->a)[a];
  const int8_t right = ((const int8_t*)o->b)[b];
  ((int8_t*)o->y)[at] = (left > right) == (p->largest != 0) ? left : right;
}

void vit_extreme_int8(const VitExtremeInt8Params* params, const int8_t* a, const int8_t* b,
                      int8_t* y) {
  const Op op = {params, a, b, y};
  vit_broadcast(&params->over, extreme_element, &op);
}

static int32_t combined(int32_t kind, int32_t a, int32_t b) {
  switch (kind) {
    case VIT_INT32_ADD:
      return (int32_t)((uint32_t)a + (uint32_t)b);
    case VIT_INT32_SUB:
      return (int32_t)((uint32_t)a - (uint32_t)b);
    case VIT_INT32_MUL:
      return (int32_t)((uint32_t)a * (uint32_t)b);
    case VIT_INT32_MAXIMUM:
      return a > b ? a : b;
    default:
      return a < b ? a : b;
  }
}

static void int32_element(const void* op, int32_t a, int32_t b, int32_t at) {
  const Op* o = op;
  const VitArithmeticInt32Params* p = o->params;
  ((int32_t*)o->y)[at] = combined(p->kind, ((const int32_t*)o->a)[a], ((const int32_t*)o->b)[b]);
}

void vit_arithmetic_int32(const VitArithmeticInt32Params* params, const int32_t* a,
                          const int32_t* b, int32_t* y) {
  const Op op = {params, a, b, y};
  vit_broadcast(&params->over, int32_element, &op);
}
