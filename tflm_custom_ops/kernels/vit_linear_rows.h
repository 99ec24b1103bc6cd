// SPDX-License-Identifier: Apache-2.0
// Linear layers and projections on rows of int16 activations.
//
// Activation rows ("wide rows"): int16 [rows][features rounded up to even], the element after an
// odd number of features 0, memory for `rows` rounded up to a multiple of VIT_ROW_GROUP. With the
// DSP core two rows are interleaved, two elements at a time (a tile: vit_gemm_dsp.h), in the same
// number of bytes. A VitRows may start at any row that is a multiple of VIT_ROW_GROUP.
//
// On cores with Helium the inputs of a layer, which are all int8, lie as bytes in the first half of
// a row's memory; what is behind them is undefined.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_LINEAR_ROWS_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_LINEAR_ROWS_H_

#include "vit_layout.h"
#include "vit_math.h"
#include "vit_store.h"
#include "vit_types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int16_t* data;
  int32_t stride;  // elements: the features rounded up to even
  int32_t rows;
} VitRows;

// First element of row `row` of wide rows, and where element i lies from there.
#if VIT_USE_DSP
static inline int16_t* vit_wide_row(VitRows rows, int32_t row) {
  const int32_t group = row / VIT_ROW_GROUP;
  return rows.data + group * VIT_ROW_GROUP * rows.stride + (row - group * VIT_ROW_GROUP) * 2;
}
static inline int32_t vit_wide_at(int32_t i) { return (i >> 1) * (VIT_ROW_GROUP * 2) + (i & 1); }
#else
static inline int16_t* vit_wide_row(VitRows rows, int32_t row) {
  return rows.data + row * rows.stride;
}
static inline int32_t vit_wide_at(int32_t i) { return i; }
#endif

// First of a row's inputs of a layer; input i lies at vit_wide_at(i) from there.
#if VIT_USE_MVE
typedef int8_t VitInput;
static inline VitInput* vit_input_row(VitRows rows, int32_t row) {
  return (VitInput*)(rows.data + row * rows.stride);
}
#else
typedef int16_t VitInput;
#define vit_input_row vit_wide_row
#endif

// A half-open range of channels or inputs.
typedef struct {
  int32_t begin;
  int32_t end;
} VitRange;

static inline int32_t vit_even(int32_t v) { return (v + 1) & ~1; }

// Channels whose weights lie together; a call's first group may begin before its first channel.
static inline int32_t vit_weight_channels(const VitLinearParams* p) { return p->layout ? 4 : 2; }

// Rows as the memory holds them: a multiple of VIT_ROW_GROUP.
static inline int32_t vit_row_capacity(int32_t rows) { return vit_round_up(rows, VIT_ROW_GROUP); }

// Rows of a tile that are multiplied at a time: whole groups of the Helium product, if there are
// any.
static inline int32_t vit_tile_rows(int32_t rows) {
  return VIT_USE_MVE && rows > VIT_MVE_ROWS ? rows - rows % VIT_MVE_ROWS : rows;
}

// out[row][i] = in[row][i] - zero_point, and the padding element.
void vit_widen_rows(const int8_t* in, int32_t in_stride, int32_t features, int32_t zero_point,
                    VitRows out);

// The same without the padding element: the first columns of rows that have more.
void vit_widen_columns(const int8_t* in, int32_t in_stride, int32_t features, int32_t zero_point,
                       VitRows out);

// Writes the padding element of each row, if `features` is odd.
void vit_pad_rows(VitRows rows, int32_t features);

// The same of a layer's inputs, which are taken as they are; Helium needs no padding.
#if VIT_USE_MVE
void vit_input_columns(const int8_t* in, int32_t in_stride, int32_t features, VitRows out);
static inline void vit_input_rows(const int8_t* in, int32_t in_stride, int32_t features,
                                  VitRows out) {
  vit_input_columns(in, in_stride, features, out);
}
static inline void vit_pad_inputs(VitRows rows, int32_t features) {
  (void)rows;
  (void)features;
}
#else
#define vit_input_columns(in, in_stride, features, out) \
  vit_widen_columns(in, in_stride, features, 0, out)
#define vit_input_rows(in, in_stride, features, out) vit_widen_rows(in, in_stride, features, 0, out)
#define vit_pad_inputs vit_pad_rows
#endif

// Bytes for the expanded weights of a layer of k inputs, no more than `most` (even) at a time.
static inline size_t vit_expansion_bytes(int32_t k, int32_t most) {
  return vit_align((size_t)vit_min32(vit_even(k), most) * VIT_EXPANSION_INPUT_BYTES +
                   VIT_EXPANSION_AHEAD_BYTES);
}

// As many inputs at a time as `bytes` of memory hold.
static inline VitExpansion vit_expansion(void* memory, size_t bytes) {
  const size_t inputs = (bytes - VIT_EXPANSION_AHEAD_BYTES) / VIT_EXPANSION_INPUT_BYTES;
  return (VitExpansion){(uint32_t*)memory,
                        inputs < VIT_MAX_EXPANSION ? (int32_t)inputs & ~1 : VIT_MAX_EXPANSION};
}

// The most inputs of a projection's layers.
static inline int32_t vit_projection_inputs(const VitProjection* p) {
  return p->rank ? vit_max32(p->down.in_features, p->rank) : p->up.in_features;
}

// Channels `n` of one layer. `k` is the part of the inputs that `a` holds (k.begin even): the
// whole, or, with vit_store_add, a part.
void vit_linear_rows(const VitLinearParams* p, VitRows a, VitRange n, VitRange k,
                     VitExpansion expansion, const VitStore* store);

// The `down` half of a low-rank projection: middle [rows][rank], its rows and stride set.
void vit_project_down(const VitProjection* p, VitRows a, VitRows middle, VitExpansion expansion);

// The `up` half (or the dense layer), on `a` or on the result of vit_project_down.
void vit_project_up(const VitProjection* p, VitRows a, VitRange n, VitExpansion expansion,
                    const VitStore* store);

// Both halves. `middle` has room for a.rows rows of rank values; unused when dense.
void vit_project(const VitProjection* p, VitRows a, int16_t* middle, VitRange n,
                 VitExpansion expansion, const VitStore* store);

// The store of a block's last projection: adds x, writes y.
VitStore vit_residual_store(const VitResidual* residual, const void* x, void* y, int32_t features);

// Address of row `row` of the residual stream.
static inline const void* vit_stream_row(const void* x, int32_t bits, int32_t row,
                                         int32_t features) {
  return (const int8_t*)x + (ptrdiff_t)row * features * (bits / 8);
}

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_LINEAR_ROWS_H_
