// SPDX-License-Identifier: Apache-2.0
// Comparisons with broadcasting.
#include "vit_broadcast.h"
#include "vit_rescale.h"

#define LEFT_SHIFT 8  // TFLite's headroom for int8 operands

static uint8_t holds(int32_t kind, int32_t a, int32_t b) {
  switch (kind) {
    case VIT_COMPARE_EQUAL:
      return a == b;
    case VIT_COMPARE_NOT_EQUAL:
      return a != b;
    case VIT_COMPARE_LESS:
      return a < b;
    case VIT_COMPARE_LESS_EQUAL:
      return a <= b;
    case VIT_COMPARE_GREATER:
      return a > b;
    default:
      return a >= b;
  }
}

typedef struct {
  const VitCompareInt8Params* params;
  const int8_t* a;
  const int8_t* b;
  uint8_t* y;
} Int8Op;

static void int8_element(const void* op, int32_t a, int32_t b, int32_t at) {
  const Int8Op* o = op;
  const VitCompareInt8Params* p = o->params;
  const int32_t wide_a = (o->a[a] - p->a_zero_point) * (1 << LEFT_SHIFT);
  const int32_t wide_b = (o->b[b] - p->b_zero_point) * (1 << LEFT_SHIFT);
  o->y[at] = holds(p->kind, vit_rescale(wide_a, p->a_multiplier, p->a_shift),
                   vit_rescale(wide_b, p->b_multiplier, p->b_shift));
}

void vit_compare_int8(const VitCompareInt8Params* params, const int8_t* a, const int8_t* b,
                      uint8_t* y) {
  const Int8Op op = {params, a, b, y};
  vit_broadcast(&params->over, int8_element, &op);
}

typedef struct {
  int32_t kind;
  const int32_t* a;
  const int32_t* b;
  uint8_t* y;
} Int32Op;

static void int32_element(const void* op, int32_t a, int32_t b, int32_t at) {
  const Int32Op* o = op;
  o->y[at] = holds(o->kind, o->a[a], o->b[b]);
}

void vit_compare_int32(const VitCompareInt32Params* params, const int32_t* a, const int32_t* b,
                       uint8_t* y) {
  const Int32Op op = {params->kind, a, b, y};
  vit_broadcast(&params->over, int32_element, &op);
}
