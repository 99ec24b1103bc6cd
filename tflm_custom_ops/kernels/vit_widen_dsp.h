// SPDX-License-Identifier: Apache-2.0
// int8 to int16 on the DSP cores (vit_widen_dsp.S). Bytes may have any alignment, words are
// aligned.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_WIDEN_DSP_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_WIDEN_DSP_H_

#include <stdint.h>

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#ifdef __cplusplus
extern "C" {
#endif

// Four tokens of two channels at a time, in the order (0, 2), (1, 3): out[quad] = { v0 even, v1
// even, v0 odd, v1 odd }, pairs of int16. quads >= 0.
void vit_dsp_widen_values(const int8_t* v0, const int8_t* v1, int32_t quads, uint32_t* out);

// Four inputs of three rows, `stride` bytes apart, at a time, to one group of a tile: in minus the
// zero point, which `zero_points` has in both halves. quads >= 0.
void vit_dsp_widen_group(const int8_t* in, int32_t stride, uint32_t zero_points, int16_t* tile,
                         int32_t quads);

#ifdef __cplusplus
}
#endif
#endif  // VIT_DSP_ASM
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_WIDEN_DSP_H_
