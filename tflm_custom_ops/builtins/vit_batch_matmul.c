// SPDX-License-Identifier: Apache-2.0
#include "vit_builtins.h"
#include "vit_rescale.h"

// One matrix: y [rows][columns].
static void multiply(const VitBatchMatMulParams* p, const int8_t* a, const int8_t* b, int8_t* y) {
  for (int32_t row = 0; row < p->rows; ++row, a += p->a_row_stride) {
    for (int32_t column = 0; column < p->columns; ++column) {
      const int8_t* right = b + column * p->b_column_stride;
      int32_t sum = p->bias == NULL ? 0 : p->bias[column];
      for (int32_t k = 0; k < p->depth; ++k) {
        sum += (a[k * p->a_stride] - p->a_zero_point) * (right[k * p->b_stride] - p->b_zero_point);
      }
      const int32_t value = vit_rescale(sum, p->out_multiplier, p->out_shift);
      *y++ = (int8_t)vit_clamp_i32(value + p->output_zero_point, p->out_min, p->out_max);
    }
  }
}

static int32_t offset_of(const int32_t strides[3], int32_t i, int32_t j, int32_t k) {
  return i * strides[0] + j * strides[1] + k * strides[2];
}

void vit_batch_matmul(const VitBatchMatMulParams* params, const int8_t* a, const int8_t* b,
                      int8_t* y) {
  const int32_t* n = params->batch;
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k, y += params->rows * params->columns) {
        multiply(params, a + offset_of(params->a_batch_strides, i, j, k),
                 b + offset_of(params->b_batch_strides, i, j, k), y);
      }
    }
  }
}
