// SPDX-License-Identifier: Apache-2.0
// Integer LayerNorm and RMSNorm of tokens (docs/operators.md, LayerNorm).
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_NORM_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_NORM_H_

#include "vit_linear_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

// Tokens x of a residual stream to wide rows.
void vit_norm_rows(const VitNorm* p, const void* x, const VitResidual* stream, VitRows out);

// LayerNorm of one token, int8 or int16 as `bits` says, to int8. `out` may equal `x`.
void vit_norm_token(const VitNorm* p, const void* x, int32_t bits, int8_t* out);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_NORM_H_
