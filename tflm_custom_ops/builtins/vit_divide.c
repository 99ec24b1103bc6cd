// SPDX-License-Identifier: Apache-2.0
// DIV of int8 with broadcasting.
#include "vit_broadcast.h"
#include "vit_reciprocal.h"

typedef struct {
  const VitDivideParams* params;
  const int8_t* a;
  const int8_t* b;
  int8_t* y;
} DivideOp;

// Bits above the sign bit that equal it.
static int32_t headroom_of(int32_t x) {
  const uint32_t bits = (uint32_t)(x < 0 ? ~x : x);
  return bits ? vit_leading_zeros(bits) - 1 : 31;
}

static int32_t quotient(const VitDivideParams* p, int32_t a, int32_t b) {
  const uint32_t size = (uint32_t)(b < 0 ? -b : b);
  const int32_t zeros = vit_leading_zeros(size);
  const int32_t inverse = vit_one_over_one_plus((int32_t)((size << zeros) - 0x80000000u));
  const int32_t headroom = headroom_of(a);
  const int32_t wide = (int32_t)((uint32_t)a << headroom);
  const int32_t unscaled = vit_rescale(wide, b < 0 ? -inverse : inverse, 0);
  const int32_t shift = p->out_shift - (31 - zeros) - headroom;
  return shift < -31 ? 0 : vit_rescale(unscaled, p->out_multiplier, shift);
}

static void element(const void* op, int32_t a, int32_t b, int32_t at) {
  const DivideOp* o = op;
  const VitDivideParams* p = o->params;
  const int32_t x = o->a[a] - p->a_zero_point;
  const int32_t by = o->b[b] - p->b_zero_point;
  // By 0 TFLite's kernels compute anything; here it is the largest number of that sign.
  const int32_t limit = x > 0 ? 256 : x < 0 ? -256 : 0;
  const int32_t value = p->output_zero_point + (by ? quotient(p, x, by) : limit);
  o->y[at] = (int8_t)vit_clamp_i32(value, p->out_min, p->out_max);
}

void vit_divide(const VitDivideParams* params, const int8_t* a, const int8_t* b, int8_t* y) {
  const DivideOp op = {params, a, b, y};
  vit_broadcast(&params->over, element, &op);
}
