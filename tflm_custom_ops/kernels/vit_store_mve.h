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

static inline void vit_mve_copy(int8_t* to, const int8_t* from, int32_t count) {
  for (; count >= 16; count -= 16, from += 16, to += 16) vstrbq_s8(to, vldrbq_s8(from));
  const mve_pred16_t some = vctp8q((uint32_t)count);
  vstrbq_p_s8(to, vldrbq_z_s8(from, some), some);
}

// Bytes from row to row of a layer's weights.
static inline int32_t vit_mve_weight_stride(int32_t in_features) {
  return vit_round_up(in_features, 4);
}

// A function of VitStore, for vit_mve_store alone: out int8 [row][n] by TFLite's rescaling, which
// rounds twice (builtins/vit_rescale.h); `in` is its shift of each channel. |sum + bias| << shift <
// 2^31 where a shift is to the left. Sums and biases of a layer of 4 bits are 16 times the
// numbers'.
void vit_mve_store_rescaled(const VitStore* store, const VitLinearParams* p, const VitSums* sums);

// A VitMveTake; the context is VitMveSums.
void vit_mve_store(int32_t* sums, void* context);

// A whole layer on rows as they are, int8 [rows][in_features]: in_features is a multiple of 16 and
// at most 768, x one of 4.
void vit_mve_linear_int8(const VitLinearParams* p, const int8_t* x, int32_t rows,
                         const VitStore* store);

static inline int vit_mve_takes_int8(const VitLinearParams* p, const int8_t* x) {
  return !(p->in_features & 15) && p->in_features <= 768 && !((uintptr_t)x & 3);
}

#ifdef __cplusplus
}
#endif
#endif  // VIT_USE_MVE
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_MVE_H_
