// SPDX-License-Identifier: Apache-2.0
// How vit_attention_core uses its scratch (AttentionCoreOperator.scratch_bytes mirrors it):
//
//   keys of one head, packed in token pairs
//   values of one head, transposed
//   elements of the keys that do not fit their packing, if they are no more than keys
//   totals
//   exponentials of a tile of queries
//   score_rows of the queries, widened; their scores; the expansion of keys; later, in their
//     place, the expansion of values, and the tile's context where its channels are not neighbours
#ifndef TFLM_CUSTOM_OPS_OPS_ATTENTION_CORE_VIT_ATTENTION_CORE_PLAN_H_
#define TFLM_CUSTOM_OPS_OPS_ATTENTION_CORE_VIT_ATTENTION_CORE_PLAN_H_

#include "vit_linear_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t tile;        // queries at a time
  int32_t score_rows;  // queries at a time while scores are computed, even
  int32_t key_stride;  // elements of a row of scores, of exponentials and of values
  // Byte offsets into the scratch, multiples of 16; keys are first.
  size_t values;
  size_t missing;
  size_t totals;
  size_t exponentials;
  size_t scores;
  size_t query_rows;
  size_t key_expansion;
  size_t value_expansion;
  size_t context;
  size_t bytes;
} VitAttentionCorePlan;

VitAttentionCorePlan vit_attention_core_plan(const VitAttentionCoreParams* p);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_OPS_ATTENTION_CORE_VIT_ATTENTION_CORE_PLAN_H_
