// SPDX-License-Identifier: Apache-2.0
// Weights of the matrix core's three streams (vit_expand_dsp.S), int16 [inputs / 2][3][2].
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_EXPAND_DSP_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_EXPAND_DSP_H_

#include <stdint.h>

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#ifdef __cplusplus
extern "C" {
#endif

// Two packed pairs of channels, w0 + 256 w1 and w2 + 256 w3: out = { w0 + 256 w1, w1 + 256 w2,
// w2 + 256 w3 } for each word of two inputs. words >= 0; w in [-127, 127].
void vit_dsp_expand(const int16_t* pair0, const int16_t* pair1, uint32_t* out, int32_t words);

// Three channels of values, four tokens at a time, in the order (0, 2), (1, 3): out[quad] = { v0
// v1 v2 of tokens 0 and 2, v0 v1 v2 of tokens 1 and 3 }. quads >= 0; v may have any alignment.
void vit_dsp_expand_values(const int8_t* v0, const int8_t* v1, const int8_t* v2, uint32_t* out,
                           int32_t quads);

#ifdef __cplusplus
}
#endif
#endif  // VIT_DSP_ASM
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_EXPAND_DSP_H_
