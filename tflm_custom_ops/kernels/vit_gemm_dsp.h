// SPDX-License-Identifier: Apache-2.0
// Matrix products on cores with the DSP extension (vit_gemm_dsp.S, vit_gemm_dsp.c), in the shapes
// that the fused operators need. Results are those of docs/operators.md bit for bit;
// docs/kernels.md draws the layouts.
//
// A *tile* holds the activations of `rows` rows, three rows (a group) at a time, two inputs per
// 32-bit word: int16 tile[group][k / 2][3][2]. Inputs past K and rows past `rows` are zeros.
// Sums of one pair of channels are int32 [group][3][2]; those of one group [pair][3][2].
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_H_

#include "vit_gemm_dsp_layout.h"
#include "vit_types.h"

#if VIT_DSP_ASM

#ifdef __cplusplus
extern "C" {
#endif

#define VIT_DSP_GROUP 3

// Row groups of one tile that a linear layer works on; bounds the sums on the stack.
#define VIT_DSP_MAX_GROUPS 16

static inline int32_t vit_dsp_groups(int32_t rows) {
  return (rows + VIT_DSP_GROUP - 1) / VIT_DSP_GROUP;
}
static inline int32_t vit_dsp_k_even(int32_t k) { return (k + 1) & ~1; }

// Bytes of a tile of `rows` rows of k inputs.
static inline size_t vit_dsp_tile_bytes(int32_t rows, int32_t k) {
  return (size_t)vit_dsp_groups(rows) * (size_t)vit_dsp_k_even(k) * (VIT_DSP_GROUP * 2);
}

// One linear layer over a tile, one pair of channels after the other.
typedef struct {
  VitDspJob job;
  const int16_t* weights;
  const VitLinearParams* linear;
  uint32_t row_bytes;  // of the packed weights of one pair
  uint32_t chunk_bytes;
  uint32_t block_chunk_bytes;
  uint32_t last_chunk_bytes;
  int32_t inputs;
  int32_t blocked;
  int32_t bias;  // 0: the sums start from 0
} VitDspColumns;

// What follows the sums of a block inside the assembly.
typedef enum {
  kVitDspInt8,    // int8 rows; parameter = row stride in bytes
  kVitDspTurned,  // int8 columns; parameter = bytes from channel to channel
  kVitDspTile,    // int16 tile; parameter = what to subtract, in both halves
  kVitDspLut,     // int16 tile; parameter = address of the table's entry for 0
} VitDspInline;

// `tile` holds inputs [k_begin, k_end) of the layer, k_begin even, of `groups` row groups.
void vit_dsp_columns_begin(VitDspColumns* columns, const VitLinearParams* linear, int32_t k_begin,
                           int32_t k_end, const int16_t* tile, int32_t groups);

// sums [groups][3][2] of channels 2 pair and 2 pair + 1, bias included unless columns->bias is 0.
void vit_dsp_columns_sums(VitDspColumns* columns, int32_t pair, int32_t* sums);

// Whether the layer's requantization can run in line: one extraction, no shift, 256 values.
int vit_dsp_can_inline(const VitDspColumns* columns);

// From now on vit_dsp_columns_inline() only. out_step: bytes from one row group to the next.
void vit_dsp_columns_begin_inline(VitDspColumns* columns, VitDspInline kind, uint32_t parameter,
                                  uint32_t out_step);
void vit_dsp_columns_inline(VitDspColumns* columns, int32_t pair, void* out);

// sums[pair][3][2] = tile (one group) x packed int16 [pairs][k_even]; |S1| < 2^23.
void vit_dsp_scores(const int16_t* tile, int32_t k_even, const int16_t* packed, int32_t pairs,
                    int32_t* sums);

// sums[groups][3][2] = tile (int16) x one pair of columns, int16 [k_even / 2][2 columns][2].
void vit_dsp_wide(const int16_t* tile, int32_t groups, int32_t k_even, const int16_t* columns,
                  int32_t* sums);

typedef struct {
  int32_t multiplier;
  const uint16_t* table;
  int32_t shift;
} VitDspSoftmax;

// One row: scores int32, 24 bytes from pair to pair; tile int16, 12 bytes from pair to pair, in
// groups of four tokens in the order (0, 2, 1, 3), the last group padded with 0. Returns the sum.
int32_t vit_dsp_softmax_row(const int32_t* scores, int16_t* tile, int32_t tokens,
                            const VitDspSoftmax* softmax);

#ifdef __cplusplus
}
#endif
#endif  // VIT_DSP_ASM
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_H_
