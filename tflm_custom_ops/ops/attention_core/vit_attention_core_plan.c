// SPDX-License-Identifier: Apache-2.0
#include "vit_attention_core_plan.h"

#include "vit_layout.h"
#include "vit_softmax.h"

// No more than a tile's exponentials take.
static int32_t score_rows(const VitAttentionCorePlan* plan) {
  const int32_t most = vit_row_capacity(plan->tile);
  const size_t exponentials = vit_area(most, plan->key_stride, sizeof(int16_t));
  const size_t space = exponentials < VIT_SCORE_BYTES ? exponentials : VIT_SCORE_BYTES;
  const int32_t rows = (int32_t)(space / (sizeof(int32_t) * (size_t)plan->key_stride));
  return vit_clamp(rows & ~1, VIT_ROW_GROUP, most);
}

VitAttentionCorePlan vit_attention_core_plan(const VitAttentionCoreParams* p) {
  VitAttentionCorePlan plan = {0};
  const int32_t dim = vit_even(p->head_dim);
  plan.tile = vit_min32(p->token_tile, p->tokens);
  plan.key_stride = vit_exponential_stride(p->key_tokens);
  plan.score_rows = score_rows(&plan);
  plan.values = vit_area(vit_even(p->key_tokens), dim, 1);  // two keys in an int16
  plan.missing = plan.values + vit_area(p->value_dim, plan.key_stride, 1);
  plan.totals = plan.missing + vit_area(p->key_tokens, 2, sizeof(uint16_t));
  plan.exponentials = plan.totals + vit_area(plan.tile, 1, sizeof(int32_t));
  plan.scores =
      plan.exponentials + vit_area(vit_row_capacity(plan.tile), plan.key_stride, sizeof(int16_t));
  plan.query_rows = plan.scores + vit_area(plan.score_rows, plan.key_stride, sizeof(int32_t));
  plan.key_expansion = plan.query_rows + vit_area(plan.score_rows, dim, sizeof(int16_t));
  plan.value_expansion = plan.scores;
  plan.context = plan.value_expansion + vit_expansion_bytes(plan.key_stride, VIT_VALUE_TOKENS);
  size_t end = plan.context;
  if (p->out.channel_stride != 1) end += vit_area(plan.tile, p->value_dim, 1);
  plan.bytes =
      vit_max_size(plan.key_expansion + vit_expansion_bytes(p->head_dim, VIT_MAX_HEAD_DIM), end);
  return plan;
}
