// SPDX-License-Identifier: Apache-2.0
// Scores and exponentials of one head on the DSP cores (docs/operators.md, Attention block).
#ifndef TFLM_CUSTOM_OPS_OPS_ATTENTION_VIT_ATTENTION_DSP_H_
#define TFLM_CUSTOM_OPS_OPS_ATTENTION_VIT_ATTENTION_DSP_H_

#include "vit_linear_rows.h"

#if VIT_USE_DSP

#ifdef __cplusplus
extern "C" {
#endif

// Exponentials of some queries q (a tile of stride head_dim rounded up to even) to `e` (as many
// rows of a tile of stride tokens rounded up to 4), and their sums. keys: int16 [tokens even /
// 2][stride], packed in token pairs. Scratch: expanded (vit_expansion_bytes of head_dim), scores
// int32 [q.rows even][tokens rounded up to 4].
void vit_dsp_exponentials(const VitAttentionParams* p, VitRows q, const int16_t* keys,
                          uint32_t* expanded, int32_t* scores, VitRows e, int32_t* totals);

#ifdef __cplusplus
}
#endif
#endif  // VIT_USE_DSP
#endif  // TFLM_CUSTOM_OPS_OPS_ATTENTION_VIT_ATTENTION_DSP_H_
