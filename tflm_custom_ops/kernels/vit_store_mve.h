// SPDX-License-Identifier: Apache-2.0
// What the stores of vit_store.h do with the sums of a Helium product.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_MVE_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_MVE_H_

#include "vit_gemm_mve.h"

#if VIT_USE_MVE

#include <arm_mve.h>

#include "vit_linear_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

// Sums int32 [channel][VIT_MVE_ROWS]: from channel `first` on, of which those of `n` are stored; of
// `rows` rows from `row` on.
typedef struct {
  const VitStore* store;
  const VitLinearParams* p;
  int32_t row;
  int32_t rows;
  int32_t first;
  VitRange n;
} VitMveSums;

// Bytes from channel to channel of a layer's weights.
static inline int32_t vit_mve_weight_stride(int32_t in_features) {
  return vit_round_up(in_features, 4);
}

// A VitMveTake; the context is VitMveSums.
void vit_mve_store(int32_t* sums, void* context);

// A whole layer on rows as they are, int8 [rows][in_features]: in_features is a multiple of 16 and
// at most 768, x one of 4.
void vit_mve_linear_int8(const VitLinearParams* p, const int8_t* x, int32_t rows,
                         const VitStore* store);

// Rows as int8 [rows][features] where they are.
const int8_t* vit_mve_narrow(VitRows rows, int32_t features);

static inline int vit_mve_takes_int8(const VitLinearParams* p, const int8_t* x) {
  return !(p->in_features & 15) && p->in_features <= 768 && !((uintptr_t)x & 3);
}

#ifdef __cplusplus
}
#endif
#endif  // VIT_USE_MVE
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_MVE_H_
