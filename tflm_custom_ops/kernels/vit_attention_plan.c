// SPDX-License-Identifier: Apache-2.0
#include "vit_attention_plan.h"

#include "vit_layout.h"

// Rows of low-rank intermediates that a projection of `rows` rows needs, in bytes.
static size_t middle_bytes(const VitProjection* p, int32_t rows) {
  return vit_area(rows, vit_even(p->rank), sizeof(int16_t));
}

static size_t kv_middle_bytes(const VitAttentionParams* p, int32_t rows) {
  return vit_max_size(middle_bytes(&p->k, rows), middle_bytes(&p->v, rows));
}

static size_t kv_bytes(const VitAttentionParams* p, const VitAttentionPlan* plan, int32_t rows) {
  return vit_area(rows, plan->row_stride, sizeof(int16_t)) + kv_middle_bytes(p, rows);
}

// Places the tile region from `base` on, and sets the size of the whole.
static void place_tile(const VitAttentionParams* p, VitAttentionPlan* plan, size_t base) {
  const int32_t rows = vit_row_capacity(plan->tile);
  const int32_t columns = plan->group_heads * p->head_dim;
  plan->rows = base;
  plan->queries = plan->rows + vit_area(rows, plan->row_stride, sizeof(int16_t));
  plan->query_rows = plan->queries + vit_area(plan->tile, columns, sizeof(int8_t));
  plan->totals = plan->query_rows + vit_area(VIT_ROW_GROUP, plan->dh_even, sizeof(int16_t));
  plan->scores = plan->totals + vit_area(plan->tile, 1, sizeof(int32_t));
  plan->exponentials = plan->scores + vit_area(VIT_ROW_GROUP, plan->key_rows, sizeof(int32_t));
  plan->middle = plan->scores;
  const size_t exponentials_end =
      plan->exponentials + vit_area(rows, plan->exponential_stride, sizeof(int16_t));
  const size_t middle_end =
      plan->middle + vit_max_size(middle_bytes(&p->q, rows), middle_bytes(&p->out, rows));
  plan->bytes =
      vit_max_size(vit_max_size(exponentials_end, middle_end), base + kv_bytes(p, plan, rows));
}

VitAttentionPlan vit_attention_plan(const VitAttentionParams* p) {
  VitAttentionPlan plan = {0};
  const int32_t features = p->heads * p->head_dim;
  plan.tile = vit_min32(p->token_tile, p->tokens);
  plan.group_heads = p->heads_at_a_time == p->heads ? p->heads : 1;
  plan.dh_even = vit_even(p->head_dim);
  plan.key_rows = vit_even(p->tokens);
  plan.row_stride = vit_even(vit_max32(p->embed_dim, features));
  plan.exponential_stride = vit_round_up(p->tokens, 4);
  plan.key_head_bytes = (size_t)plan.key_rows * (size_t)plan.dh_even;
  plan.value_head_bytes = (size_t)p->head_dim * (size_t)p->tokens;
  plan.values = vit_align(plan.key_head_bytes * (size_t)plan.group_heads);
  plan.context = plan.values + vit_align(plan.value_head_bytes * (size_t)plan.group_heads);
  size_t base = plan.context;
  if (plan.group_heads != p->heads) base += vit_area(p->tokens, features, sizeof(int8_t));
  place_tile(p, &plan, base);
  // Keys and values are projected with as many rows as fit where the queries' buffers come later:
  // their weights are fetched less often at no cost in memory.
  const int32_t all_rows = vit_row_capacity(p->tokens);
  plan.kv_rows = vit_row_capacity(plan.tile);
  while (plan.kv_rows < all_rows &&
         base + kv_bytes(p, &plan, plan.kv_rows + VIT_ROW_GROUP) <= plan.bytes) {
    plan.kv_rows += VIT_ROW_GROUP;
  }
  plan.kv_middle = base + vit_area(plan.kv_rows, plan.row_stride, sizeof(int16_t));
  return plan;
}
