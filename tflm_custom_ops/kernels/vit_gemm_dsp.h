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

static inline int32_t vit_dsp_groups(int32_t rows) { return (rows + VIT_DSP_GROUP - 1) / VIT_DSP_GROUP; }
static inline int32_t vit_dsp_k_even(int32_t k) { return (k + 1) & ~1; }

// Bytes of a tile of `rows` rows of k inputs.
static inline size_t vit_dsp_tile_bytes(int32_t rows, int32_t k) {
  return (size_t)vit_dsp_groups(rows) * (size_t)vit_dsp_k_even(k) * (VIT_DSP_GROUP * 2);
}

// (a * m + 2^31) >> 32
static inline int32_t vit_dsp_mulh(int32_t a, int32_t m) {
  int32_t result;
  __asm__("smmulr %0, %1, %2" : "=r"(result) : "r"(a), "r"(m));
  return result;
}

// c + ((a * m + 2^31) >> 32)
static inline int32_t vit_dsp_mulh_add(int32_t a, int32_t m, int32_t c) {
  int32_t result;
  __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(m), "r"(c));
  return result;
}

// tile = x - zero_point. x: int8 [rows][stride], the first k of each row; |zero_point| <= 128.
// x must be readable up to k rounded up to a multiple of 4 only where that is inside the row.
void vit_dsp_pack_rows(const int8_t* x, int32_t stride, int32_t rows, int32_t k,
                       int32_t zero_point, int16_t* tile);

// One linear layer over a tile, one pair of channels after the other.
typedef struct {
  VitDspJob job;
  const VitLinearParams* linear;
  int32_t groups;
  uint32_t row_bytes;  // of the packed weights of one pair
  uint32_t chunk_bytes;
  uint32_t block_chunk_bytes;
  uint32_t last_chunk_bytes;
  int32_t blocked;
} VitDspColumns;

void vit_dsp_columns_begin(VitDspColumns* columns, const VitLinearParams* linear,
                           const int16_t* tile, int32_t groups);

// sums [groups][3][2] of channels 2 pair and 2 pair + 1, bias included.
void vit_dsp_columns_sums(VitDspColumns* columns, int32_t pair, int32_t* sums);

// Requantized channels [begin, end) of the layer, begin even, of `rows` <= 48 rows:
//   out[row * row_stride + (c - begin) / 2 * pair_stride + (c & 1)]     strides in bytes
// pair_stride 2 writes rows of channels; other strides transpose.
void vit_dsp_linear_int8(const VitLinearParams* linear, int32_t begin, int32_t end,
                         const int16_t* tile, int32_t rows, int8_t* out, int32_t row_stride,
                         int32_t pair_stride);

// The layer with the residual stream added: `bits` 8 or 16, x and y [rows][out_features], y may
// equal x.
void vit_dsp_linear_residual(const VitLinearParams* linear, const VitResidual* residual,
                             const int16_t* tile, int32_t rows, const void* x, void* y);

// sums[pair][3][2] = tile (one group) x packed int16 [pairs][k_even]; |S1| < 2^23.
void vit_dsp_scores(const int16_t* tile, int32_t k_even, const int16_t* packed, int32_t pairs,
                    int32_t* sums);

// sums[pair][3][2] = tile (one group, int16) x bytes; bytes int8 [pairs][k_even][2].
void vit_dsp_wide(const int16_t* tile, int32_t k_even, const int8_t* bytes, int32_t pairs,
                  int32_t* sums);

#ifdef __cplusplus
}
#endif
#endif  // VIT_DSP_ASM
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_H_
