// SPDX-License-Identifier: Apache-2.0
// Second pass of the LayerNorm on the DSP cores (vit_norm_dsp.S).
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_NORM_DSP_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_NORM_DSP_H_

#include <stdint.h>

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#ifdef __cplusplus
extern "C" {
#endif

// y[i] = sat8((beta[i] + mulh(mulh(scale * x[i] + offset, reciprocal), gamma[i])) >> 8) for 2 pairs
// elements. The assembly knows the order of the fields.
typedef struct {
  const void* x;
  void* out;
  const int32_t* gamma;
  const int32_t* beta;
  int32_t scale;
  int32_t offset;  // -(S1 << a)
  int32_t reciprocal;
  int32_t pairs;  // >= 0
} VitDspNormalize;

void vit_dsp_normalize_8_tile(const VitDspNormalize* n);    // int8 -> a row of a tile
void vit_dsp_normalize_16_tile(const VitDspNormalize* n);   // int16 -> a row of a tile
void vit_dsp_normalize_8_bytes(const VitDspNormalize* n);   // int8 -> int8, may overwrite x
void vit_dsp_normalize_16_bytes(const VitDspNormalize* n);  // int16 -> int8, may overwrite x

#ifdef __cplusplus
}
#endif
#endif  // VIT_DSP_ASM
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_NORM_DSP_H_
