// SPDX-License-Identifier: Apache-2.0
// Exponentials of attention scores and the weighted sum of the values (docs/operators.md,
// Attention block).
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_SOFTMAX_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_SOFTMAX_H_

#include "vit_linear_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

// Elements of a row of exponentials: `tokens` rounded up to whole groups of four. With the DSP
// extension a group holds tokens (0, 2, 1, 3), the order in which SXTB16 widens bytes; the values
// are expanded in the same order.
static inline int32_t vit_exponential_stride(int32_t tokens) { return vit_round_up(tokens, 4); }

// One row: e int16 [vit_exponential_stride(tokens)], padded with 0, of scores int32 [tokens].
// Returns their sum P.
int32_t vit_exponentials(const VitAttentionParams* p, const int32_t* scores, int16_t* e);

// Where the context of a head goes: int8 rows, narrow[row * stride + d], or the columns from
// `column` on of wide rows.
typedef struct {
  int8_t* narrow;  // NULL: wide
  int32_t stride;
  VitRows wide;
  int32_t column;
} VitContext;

// Context of one head for a tile of queries: e.rows rows of exponentials with sums `totals`, and
// the head's values, int8 [head_dim][e.stride], in a row the tokens and then anything. The tokens
// that `expansion` holds are a multiple of 4. Wide rows have memory for whole groups, and the row
// after an odd last one is undefined.
void vit_context(const VitAttentionParams* p, VitRows e, const int32_t* totals,
                 const int8_t* values, VitExpansion expansion, const VitContext* out);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_SOFTMAX_H_
