// SPDX-License-Identifier: Apache-2.0
// Operators that move values.
#include <string.h>

#include "vit_builtins.h"

// Offset of an element of a tensor of `shape`.
static size_t offset_of(const int32_t shape[4], int32_t i, int32_t j, int32_t k, int32_t l) {
  return (((size_t)i * shape[1] + j) * shape[2] + k) * shape[3] + l;
}

void vit_pad(const VitPadParams* params, const int8_t* x, int8_t* y) {
  const int32_t* n = params->input_shape;
  const int32_t* out = params->output_shape;
  const int32_t* before = params->before;
  memset(y, params->value, (size_t)out[0] * out[1] * out[2] * out[3]);
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k, x += n[3]) {
        const size_t at = offset_of(out, i + before[0], j + before[1], k + before[2], before[3]);
        memcpy(y + at, x, (size_t)n[3]);
      }
    }
  }
}

void vit_strided_slice(const VitStridedSliceParams* params, const int8_t* x, int8_t* y) {
  const int32_t* n = params->output_shape;
  const int32_t* begin = params->begin;
  const int32_t* step = params->step;
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        const int8_t* row = x + offset_of(params->input_shape, begin[0] + i * step[0],
                                          begin[1] + j * step[1], begin[2] + k * step[2], begin[3]);
        for (int32_t l = 0; l < n[3]; ++l) *y++ = row[l * step[3]];
      }
    }
  }
}

void vit_copy_columns(const int8_t* x, int8_t* y, int32_t rows, int32_t columns, int32_t y_stride) {
  for (int32_t row = 0; row < rows; ++row, x += columns, y += y_stride) {
    memcpy(y, x, (size_t)columns);
  }
}
