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

// Four inputs of two rows, `stride` bytes apart, at a time, to one group of a tile: in minus the
// zero point, which `zero_points` has in both halves. quads >= 0.
void vit_dsp_widen_group(const int8_t* in, int32_t stride, uint32_t zero_points, int16_t* tile,
                         int32_t quads);

#ifdef __cplusplus
}
#endif
#endif  // VIT_DSP_ASM
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_WIDEN_DSP_H_
