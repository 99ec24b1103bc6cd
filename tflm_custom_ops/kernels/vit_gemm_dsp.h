// SPDX-License-Identifier: Apache-2.0
// Matrix products on cores with the DSP extension (vit_gemm_dsp.S, vit_gemm_dsp.c), in the shapes
// that the fused operators need. Results are those of docs/operators.md bit for bit;
// docs/kernels.md draws the layouts.
//
// A *tile* holds the activations of rows, two rows (a group) at a time, two inputs per 32-bit
// word: int16 tile[group][k / 2][2][2]. Inputs past K are zeros. Sums of four channels are int32
// [row][4].
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_H_

#include "vit_gemm.h"
#include "vit_gemm_dsp_layout.h"
#include "vit_softmax.h"
#include "vit_types.h"

#if VIT_DSP_ASM

#ifdef __cplusplus
extern "C" {
#endif

// Row groups of one tile that a linear layer works on; bounds the sums on the stack.
#define VIT_DSP_MAX_GROUPS 24
#define VIT_DSP_CHANNELS 4  // of a block

static inline int32_t vit_dsp_groups(int32_t rows) {
  return (rows + VIT_ROW_GROUP - 1) / VIT_ROW_GROUP;
}
static inline int32_t vit_dsp_k_even(int32_t k) { return (k + 1) & ~1; }

// How a number of inputs runs through the core.
typedef struct {
  uint32_t entry;         // code address in the unrolled loop
  uint32_t tail;          // code address of what follows it; 0: the store
  uint32_t weight_bytes;  // of the whole steps
} VitDspPath;

// One linear layer over a tile, four channels after four, all rows inside. One instance serves one
// store.
typedef struct {
  VitDspJob job;
  const VitLinearParams* linear;
  const int16_t* weights;  // of the next channels, from the first input on
  int32_t channel;         // next
  int32_t pair_step;       // elements
  int32_t quad_step;       // elements
  VitWeightKernel expand;
  int32_t inputs;  // even
  int32_t input_words;
  int32_t groups;
  int32_t is_inline;     // `store` takes the sums, else they stay in `sums`
  int32_t whole_groups;  // of two rows; a last group may have one
  int32_t block;         // inputs that the streams hold the sums of
  int32_t has_bias;
  int32_t is_blocked;  // sums are taken out after each block, the bias is added to them
  VitDspStore store;
  uint32_t tile;
  uint32_t* expanded;
  int32_t part;  // inputs expanded at a time
  VitDspPath whole;
  uint32_t out_step;    // of the store
  int32_t is_prepared;  // the job is, but for what depends on the channels
  int32_t sums[VIT_DSP_MAX_GROUPS * VIT_ROW_GROUP * VIT_DSP_CHANNELS];  // [row][4]
  uint32_t streams[VIT_DSP_MAX_GROUPS * 6];
} VitDspColumns;

// What one call multiplies: inputs [k_begin, k_end) of the layer, k_begin even, of `groups` row
// groups (1..VIT_DSP_MAX_GROUPS), and whether the sums start from the bias.
typedef struct {
  const VitLinearParams* linear;
  const int16_t* tile;
  int32_t groups;
  int32_t k_begin;
  int32_t k_end;
  int32_t has_bias;
  VitExpansion expansion;
} VitDspProduct;

// Whether the streams hold whole sums with their bias, so that a store can be in line.
int vit_dsp_is_whole(const VitDspProduct* product);

// `channel` is the first one, of a group whose weights lie together. One of the next two follows.
void vit_dsp_columns_begin(VitDspColumns* columns, const VitDspProduct* product, int32_t channel);

// From now on all sums stay in `sums`.
void vit_dsp_columns_sums(VitDspColumns* columns);

// From now on `store` takes them (vit_dsp_is_whole). Row 1 of the groups from `whole_groups` on,
// which is all or all but the last one, does not exist; only the int8 store leaves it out.
// out_step: bytes from one row group to the next.
void vit_dsp_columns_inline(VitDspColumns* columns, VitDspStore store, int32_t whole_groups,
                            uint32_t parameter, uint32_t out_step);

// The next four channels, to `out` or to columns->sums. Channels that the layer does not have are
// computed as copies.
void vit_dsp_columns_next(VitDspColumns* columns, void* out);

// sums[group][quad][2][4] = tile x packed keys int16 [pairs][k_even], quads of keys two pairs at a
// time; the second half of the last quad may be undefined. `expanded` is memory for k_even inputs
// (vit_expansion_bytes). |key| <= 127, |tile| <= 255, k_even <= 256.
void vit_dsp_scores(const int16_t* tile, int32_t groups, int32_t k_even, const int16_t* packed,
                    int32_t pairs, uint32_t* expanded, int32_t* sums);

// A part of sums[group][2][3] = tile (int16) x three channels: tokens [from, from + count) of
// k_even, expanded int16 [count / 2][3][2]. The first part (from == 0) overwrites, the others add.
void vit_dsp_weighted(const int16_t* tile, int32_t groups, int32_t k_even, int32_t from,
                      int32_t count, const uint32_t* expanded, int32_t* sums);

// One row: scores int32, 32 bytes from quad to quad; tile int16, 8 bytes from pair to pair, in
// groups of four tokens in the order (0, 2, 1, 3), the last group padded with 0. Returns the sum.
int32_t vit_dsp_softmax_row(const int32_t* scores, int16_t* tile, int32_t tokens,
                            const VitSoftmax* softmax);

#ifdef __cplusplus
}
#endif
#endif  // VIT_DSP_ASM
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_H_
