// SPDX-License-Identifier: Apache-2.0
// The strided copy of all operators that move values.
#include <string.h>

#include "vit_builtins.h"

#define LAST (VIT_COPY_RANK - 1)

static void copy_row(const VitCopyParams* p, const uint8_t* x, uint8_t* y) {
  const int32_t n = p->shape[LAST];
  const int32_t x_stride = p->x_strides[LAST];
  const int32_t y_stride = p->y_strides[LAST];
  if (p->block_bytes == 1) {
    for (int32_t i = 0; i < n; ++i) y[i * y_stride] = x[i * x_stride];
    return;
  }
  for (int32_t i = 0; i < n; ++i) {
    memcpy(y + i * y_stride, x + i * x_stride, (size_t)p->block_bytes);
  }
}

void vit_copy(const VitCopyParams* params, const void* x, void* y) {
  int32_t index[LAST] = {0};
  int32_t from = params->x_offset;
  int32_t to = params->y_offset;
  for (;;) {
    copy_row(params, (const uint8_t*)x + from, (uint8_t*)y + to);
    int32_t d = LAST - 1;
    for (; d >= 0; --d) {
      from += params->x_strides[d];
      to += params->y_strides[d];
      if (++index[d] < params->shape[d]) break;
      from -= params->x_strides[d] * params->shape[d];
      to -= params->y_strides[d] * params->shape[d];
      index[d] = 0;
    }
    if (d < 0) return;
  }
}
