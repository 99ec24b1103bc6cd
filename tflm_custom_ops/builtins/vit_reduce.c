// SPDX-License-Identifier: Apache-2.0
#include "vit_builtins.h"
#include "vit_rescale.h"

static int32_t offset_of(const int32_t strides[4], int32_t i, int32_t j, int32_t k, int32_t l) {
  return i * strides[0] + j * strides[1] + k * strides[2] + l * strides[3];
}

static int32_t accumulated(int32_t kind, int32_t so_far, int32_t value) {
  if (kind == VIT_REDUCE_SUM) return so_far + value;
  return (value > so_far) == (kind == VIT_REDUCE_MAXIMUM) ? value : so_far;
}

// One element of the result.
static int8_t reduced(const VitReduceParams* p, const int8_t* x) {
  const int32_t* n = p->reduced;
  const int32_t* s = p->reduced_strides;
  int32_t total = p->kind == VIT_REDUCE_SUM ? 0 : x[0];
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        const int8_t* row = x + offset_of(s, i, j, k, 0);
        for (int32_t l = 0; l < n[3]; ++l) {
          const int32_t value = row[l * s[3]];
          total = accumulated(p->kind, total,
                              p->kind == VIT_REDUCE_SUM ? value - p->input_zero_point : value);
        }
      }
    }
  }
  if (p->kind != VIT_REDUCE_SUM) return (int8_t)total;
  const int32_t value = vit_rescale(total, p->out_multiplier, p->out_shift) + p->output_zero_point;
  return (int8_t)vit_clamp_i32(value, INT8_MIN, INT8_MAX);
}

void vit_reduce(const VitReduceParams* params, const int8_t* x, int8_t* y) {
  const int32_t* n = params->kept;
  const int32_t* s = params->kept_strides;
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) *y++ = reduced(params, x + offset_of(s, i, j, k, l));
      }
    }
  }
}
