// SPDX-License-Identifier: Apache-2.0
// Stores of a pair of channels from the sums of the matrix cores, int32 [row][2] with the bias
// included.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_DSP_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_DSP_H_

#include "vit_linear_rows.h"

#if VIT_USE_DSP

#ifdef __cplusplus
extern "C" {
#endif

// One channel of some rows: sums[2 * row] for `rows` rows, the first of which is row `first` of the
// store.
typedef struct {
  const VitStore* store;
  const VitLinearParams* p;
  const int32_t* sums;
  int32_t channel;
  int32_t first;
  int32_t rows;
} VitDspColumn;

// Stores the channels of the pair that begins with column->channel, which is even, and that lie in
// n; does what the portable store functions (vit_store.h) do.
void vit_dsp_store_pair(const VitDspColumn* column, VitRange n);

// The frequent ones, in assembly (vit_store_dsp.S), where the layer has no shift and the output its
// type's full range.

// y[row][c] = sat(high word of offset + sums[row][c] * multiplier[c] + (x[row][c] << shift) *
// in_multiplier). The assembly knows the order of the fields.
typedef struct {
  const int32_t* sums;
  const void* in;  // x of the first row's first channel
  int32_t delta;   // bytes from x to y
  int32_t step;    // bytes from a row's second channel to the next row's first
  int32_t multiplier[2];
  uint32_t offset_low;  // rounding and zero points, 64 bits
  int32_t offset_high;
  int32_t in_multiplier;
  int32_t in_shift;
  const int32_t* sums_end;  // > sums
} VitDspResidual;

void vit_dsp_residual_8(const VitDspResidual* residual);   // x and y int8
void vit_dsp_residual_16(const VitDspResidual* residual);  // x and y int16

// Pairs of rows -> out[pair] = { k0[0] + 256 k1[0], k0[1] + 256 k1[1] }, int16, k in [-127, 127].
typedef struct {
  const int32_t* sums;
  int16_t* out;    // 4-byte aligned
  int32_t stride;  // bytes from pair to pair of rows
  int32_t multiplier[2];
  int32_t zero_point;
  const int32_t* sums_end;  // > sums, a whole number of pairs of rows
} VitDspKeys;

void vit_dsp_keys(const VitDspKeys* keys);

#ifdef __cplusplus
}
#endif
#endif  // VIT_USE_DSP
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_DSP_H_
