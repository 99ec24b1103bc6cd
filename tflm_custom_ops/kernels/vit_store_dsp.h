// SPDX-License-Identifier: Apache-2.0
// Stores of four channels from the sums of the matrix core, int32 [row][4] with the bias included.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_DSP_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_DSP_H_

#include "vit_linear_rows.h"

#if VIT_USE_DSP

#ifdef __cplusplus
extern "C" {
#endif

// One channel of some rows: sums[4 * row] for `rows` rows, the first of which is row `first` of the
// store.
typedef struct {
  const VitStore* store;
  const VitLinearParams* p;
  int32_t* sums;
  int32_t channel;
  int32_t first;
  int32_t rows;
} VitDspColumn;

// Stores those of the four channels from column->channel on that lie in n; does what the portable
// store functions (vit_store.h) do.
void vit_dsp_store_quad(const VitDspColumn* column, VitRange n);

// The residual add, in assembly (vit_store_dsp.S), where the output has its type's full range; the
// sums are shifted by then.

// y[row][c] = sat(high word of offset + sums[row][c] * multiplier[c] + (x[row][c] << shift) *
// in_multiplier). The assembly knows the order of the fields.
typedef struct {
  const int32_t* sums;
  const void* in;  // x of the first row's first channel
  int32_t delta;   // bytes from x to y
  int32_t multiplier[4];
  uint32_t offset_low;  // rounding and zero points, 64 bits
  int32_t offset_high;
  int32_t in_multiplier;
  int32_t in_shift;
  int32_t step;             // bytes from a row's fourth channel to the next row's first
  const int32_t* sums_end;  // > sums
} VitDspResidual;

void vit_dsp_residual_8(const VitDspResidual* residual);   // x and y int8
void vit_dsp_residual_16(const VitDspResidual* residual);  // x and y int16

#ifdef __cplusplus
}
#endif
#endif  // VIT_USE_DSP
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_STORE_DSP_H_
