// SPDX-License-Identifier: Apache-2.0
// What a linear layer does with its sums: requantize them and put them where the next step wants
// them. One function per destination, each working on a group of up to VIT_ROW_GROUP rows.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_H_

#include "vit_gemm.h"
#include "vit_types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct VitStore VitStore;

// Sums of `rows` (1..VIT_ROW_GROUP) rows starting at `row`, and of `count` channels starting at
// `n`.
typedef struct {
  int32_t row;
  int32_t rows;
  int32_t n;
  int32_t count;
  const int32_t* acc;  // [rows][count]
  int32_t acc_stride;
} VitSums;

typedef void (*VitStoreFunction)(const VitStore* store, const VitLinearParams* p,
                                 const VitSums* sums);

struct VitStore {
  VitStoreFunction function;
  void* out;
  int32_t out_stride;        // elements from row to row (from channel to channel: vit_store_value)
  int32_t first_channel;     // channel that is stored in column 0
  int32_t first_row;         // token that row 0 is (vit_store_key)
  int32_t has_whole_groups;  // out has memory for whole groups of rows (vit_store_int8)
  // Residual forms: the tensor that is added, at [row][n], and how.
  const void* in;
  int32_t in_stride;
  int32_t in_zero_point;
  int32_t in_multiplier;
  int32_t in_shift;
  const int8_t* lut;  // vit_store_lut
};

// out int8 [row][n].
void vit_store_int8(const VitStore* store, const VitLinearParams* p, const VitSums* sums);
// out int16 [row][n]. out_min and out_max may span 16 bits.
void vit_store_int16(const VitStore* store, const VitLinearParams* p, const VitSums* sums);
// The same to wide rows (vit_linear_rows.h), which differ where the DSP cores are used.
void vit_store_wide(const VitStore* store, const VitLinearParams* p, const VitSums* sums);
// out int16 [row][n] = lut[y + 128].
void vit_store_lut(const VitStore* store, const VitLinearParams* p, const VitSums* sums);
// Residual add; names give the types of `in` and `out`. `out` may equal `in` where they agree.
void vit_store_residual_8_8(const VitStore* store, const VitLinearParams* p, const VitSums* sums);
void vit_store_residual_16_16(const VitStore* store, const VitLinearParams* p, const VitSums* sums);
void vit_store_residual_8_16(const VitStore* store, const VitLinearParams* p, const VitSums* sums);
// out int16 [token / 2][n], token 2p + 256 * token 2p+1, token = first_row + row: the keys of a
// head, packed as weights. Tokens of a pair are stored in order, the even one first.
void vit_store_key(const VitStore* store, const VitLinearParams* p, const VitSums* sums);
// out int8 [n][row]: the values of a head, transposed. The stride is even, and a last row that is
// even may bring an undefined one after it.
void vit_store_value(const VitStore* store, const VitLinearParams* p, const VitSums* sums);
// out int32 [row][n] += the sums (no bias): a part of the inputs.
void vit_store_add(const VitStore* store, const VitLinearParams* p, const VitSums* sums);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_H_
