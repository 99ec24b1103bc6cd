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

// Row groups from which expanding a pair of weights pays, and the inputs expanded at a time.
#define VIT_DSP_EXPAND_GROUPS 6
#define VIT_DSP_EXPAND_INPUTS 264

// One linear layer over a tile, one pair of channels after the other, all rows inside: by the
// packed core, or by the wide one on expanded weights. One instance serves one store.
typedef struct VitDspColumns VitDspColumns;

struct VitDspColumns {
  VitDspJob job;
  // Of the next pair. Pairs are taken in order, so that a pair costs few instructions besides its
  // products; steps are elements from pair to pair.
  const int16_t* weights;
  const int32_t* multiplier;
  const int32_t* bias;
  int32_t channels;  // left
  int32_t weights_step;
  int32_t bias_step;
  void (*run)(VitDspColumns* columns, const int16_t* weights, int32_t bias0, int32_t bias1);
  const VitLinearParams* linear;
  int32_t inputs;
  int32_t groups;
  // Packed core: bytes from the weights to the end of the whole steps.
  uint32_t chunk_bytes;
  uint32_t block_chunk_bytes;
  uint32_t last_chunk_bytes;
  // Wide core: inputs of a part, whether there are several, and the code addresses of all but the
  // last part.
  int32_t part_inputs;
  uint32_t tile;
  uint32_t part_entry;
  uint32_t part_tail;
  uint32_t part_steps;
  uint32_t last_entry;
  uint32_t last_tail;
  uint32_t last_steps;
  uint32_t expanded[VIT_DSP_EXPAND_INPUTS];
  int32_t partial[VIT_DSP_MAX_GROUPS * VIT_DSP_GROUP * 2];
};

// Whether the layer's requantization can run in line: no shift, the whole int8 range, and sums of
// the packed core that need no blocks (or the wide core).
int vit_dsp_can_inline(const VitLinearParams* linear, int32_t k_begin, int32_t k_end,
                       int32_t groups);

// `tile` holds inputs [k_begin, k_end) of the layer, k_begin even, of `groups` row groups
// (1..VIT_DSP_MAX_GROUPS). `pair` is the first one: channels 2 pair and 2 pair + 1.
void vit_dsp_columns_begin(VitDspColumns* columns, const VitLinearParams* linear, int32_t pair,
                           int32_t k_begin, int32_t k_end, const int16_t* tile, int32_t groups,
                           VitDspStore store);

// The sums start from 0.
void vit_dsp_columns_without_bias(VitDspColumns* columns);

// Only for in-line stores. out_step: bytes from one row group to the next.
void vit_dsp_columns_inline(VitDspColumns* columns, uint32_t parameter, uint32_t out_step);

// The next pair of channels to `out`: sums [groups][3][2], or what the in-line store writes.
void vit_dsp_columns_next(VitDspColumns* columns, void* out);

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
