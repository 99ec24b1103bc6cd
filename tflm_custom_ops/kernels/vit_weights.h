// SPDX-License-Identifier: Apache-2.0
// What reads weights that are not packed pairs of 8 bits (docs/operators.md, Weight layouts). A
// layer holds the function, so that a program links those that its layers need.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_WEIGHTS_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_WEIGHTS_H_

#include <stdint.h>

#include "vit_gemm_dsp_layout.h"
#include "vit_gemm_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

#if VIT_USE_MVE
// Multiplies rows by them, in whole pairs of channels (vit_gemm_mve.h).
typedef void (*VitWeightKernel)(const VitMveGemm* product);
#elif VIT_DSP_ASM
// Makes the three streams of four channels: vit_dsp_expand's contract (vit_expand_dsp.h), for which
// `next` are the weights of channels 2 and 3 where they lie by themselves.
typedef void (*VitWeightKernel)(const int16_t* weights, const int16_t* next, uint32_t* out,
                                int32_t words);
void vit_quads4(const int16_t* weights, const int16_t* next, uint32_t* out, int32_t words);
#else
// Multiplies rows by them: vit_gemm_rows' contract (vit_gemm.h), for whole groups of channels.
typedef void (*VitWeightKernel)(const int16_t* a, int32_t a_stride, int32_t rows, const int16_t* w,
                                int32_t w_stride, int32_t k_even, int32_t channels, int32_t* acc,
                                int32_t acc_stride);
void vit_quads4(const int16_t* a, int32_t a_stride, int32_t rows, const int16_t* w,
                int32_t w_stride, int32_t k_even, int32_t channels, int32_t* acc,
                int32_t acc_stride);
#endif

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_WEIGHTS_H_
