// SPDX-License-Identifier: Apache-2.0
// Windows of a grid of tokens, rolled or not (docs/operators.md, Windows).
#ifndef TFLM_CUSTOM_OPS_OPS_ATTENTION_VIT_WINDOWS_H_
#define TFLM_CUSTOM_OPS_OPS_ATTENTION_VIT_WINDOWS_H_

#include "vit_layout.h"
#include "vit_types.h"

#ifdef __cplusplus
extern "C" {
#endif

// A window by the place of its first token in the rolled grid. From `cut_row` and `cut_column` of
// the window on, tokens come from the grid's opposite edge; p->window: none do.
typedef struct {
  int32_t row;
  int32_t column;
  int32_t cut_row;
  int32_t cut_column;
  int32_t is_cut;
} VitWindow;

VitWindow vit_window(const VitAttentionParams* p, int32_t row, int32_t column);

// Whether windows are worked on in a copy of their tokens.
static inline int vit_copies_windows(const VitAttentionParams* p) {
  return p->key_tokens != p->tokens || p->window_shift > 0;
}

// Copies the tokens of a window from the grid to `tokens`, or `back`.
void vit_copy_window(const VitAttentionParams* p, const VitWindow* window, void* grid,
                     uint8_t* tokens, int back);

// Bytes of the bias of one query, where that is put together for a window.
static inline size_t vit_window_bias_bytes(const VitAttentionParams* p) {
  const int made = p->window_shift > 0 || p->bias_kind == kVitBiasKindRelative;
  return made ? vit_area(p->key_tokens, 1, sizeof(int16_t)) : 0;
}

// The bias of query `token` of a head, int16 [key_tokens], as the blob has it (FULL, MASK).
static inline const int16_t* vit_stored_bias(const VitAttentionParams* p, int32_t head,
                                             int32_t token) {
  const ptrdiff_t plane = p->bias_kind == kVitBiasKindFull ? head : 0;
  return p->bias + (plane * p->key_tokens + token) * p->key_tokens;
}

// The same of any bias and a window that may be cut: keys on the other side of a cut are left out.
void vit_window_bias(const VitAttentionParams* p, const VitWindow* window, int32_t head,
                     int32_t token, int16_t* bias);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_OPS_ATTENTION_VIT_WINDOWS_H_
