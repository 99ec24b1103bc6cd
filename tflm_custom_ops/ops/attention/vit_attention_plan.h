// SPDX-License-Identifier: Apache-2.0
// How vit_attention uses its scratch (AttentionOperator.scratch_bytes mirrors it).
//
//   all heads at a time                 one head at a time
//   ------------------------------     ------------------------------
//   keys of all heads, packed           keys of one head, packed
//   values of all heads, transposed     values of one head, transposed
//   tile ...                            tile ...
//                                       context of all heads but the last, of all tokens, int8
//   tokens of a window                  tokens of a window
//
// Where tokens are windows of a grid, "all tokens" are those of one window; they are copied to the
// scratch, unless the window is the grid.
//
// What is used most lies first: the low addresses of an arena are its fast ones (docs/memory.md).
// The context is written and read once.
//
// The tile region holds, while keys and values are projected (kv_rows tokens at a time),
//   rows (LayerNorm), middle (low rank), expansion
// and while queries are processed (tile tokens at a time)
//   rows (LayerNorm, later the context)
//   scores of score_rows queries; one head at a time has them in place of its rows, which are
//     needed neither after the queries nor before the context
//   totals
//   with relative keys and values: products of score_rows queries with the entries, sums by entry
//   the bias of one query, where it is put together for a window
//   exponentials, or middle (low rank) and expansion
//   queries int8, score_rows of them widened, expansion of keys; later the expansion of values,
//     which all heads at a time have in place of the scores, since other heads' queries stay
#ifndef TFLM_CUSTOM_OPS_OPS_ATTENTION_VIT_ATTENTION_PLAN_H_
#define TFLM_CUSTOM_OPS_OPS_ATTENTION_VIT_ATTENTION_PLAN_H_

#include "vit_softmax.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t tile;             // query tokens at a time
  int32_t score_rows;       // query tokens at a time while scores are computed, even
  int32_t kv_rows;          // tokens at a time while keys and values are projected
  int32_t group_heads;      // heads at a time
  int32_t group_key_heads;  // heads of keys and values that exist at a time
  int32_t dh_even;          // elements of a packed key
  int32_t row_stride;       // elements of LayerNorm and of context rows
  int32_t token_stride;     // elements of a row of scores, of exponentials and of values
  size_t key_head_bytes;    // packed keys of one head
  size_t value_head_bytes;  // values of one head
  // Byte offsets into the scratch, multiples of 16.
  size_t values;
  size_t context;  // behind the tile
  size_t rows;
  size_t kv_middle;
  size_t kv_expansion;
  size_t scores;
  size_t totals;
  size_t relative_products;
  size_t relative_sums;
  size_t bias;
  size_t exponentials;
  size_t middle;
  size_t expansion;
  size_t queries;
  size_t query_rows;
  size_t key_expansion;
  size_t value_expansion;
  size_t value_expansion_end;
  size_t window;
  size_t bytes;
} VitAttentionPlan;

VitAttentionPlan vit_attention_plan(const VitAttentionParams* p);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_OPS_ATTENTION_VIT_ATTENTION_PLAN_H_
