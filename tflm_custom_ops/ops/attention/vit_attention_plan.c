// SPDX-License-Identifier: Apache-2.0
#include "vit_attention_plan.h"

#include "vit_layout.h"
#include "vit_relative.h"
#include "vit_windows.h"

// Rows of low-rank intermediates that a projection of `rows` rows needs, in bytes.
static size_t middle_bytes(const VitProjection* p, int32_t rows) {
  return vit_area(rows, vit_even(p->rank), sizeof(int16_t));
}

static size_t expansion_bytes(const VitAttentionParams* p, const VitProjection* a,
                              const VitProjection* b) {
  return vit_expansion_bytes(vit_max32(vit_projection_inputs(a), vit_projection_inputs(b)),
                             p->expanded_inputs);
}

// Values of no more tokens at a time than a layer has inputs, in fours.
static size_t value_bytes(const VitAttentionParams* p, const VitAttentionPlan* plan) {
  const int32_t most = vit_clamp(p->expanded_inputs & ~3, 4, VIT_VALUE_TOKENS);
  return vit_expansion_bytes(plan->token_stride, most);
}

static size_t kv_middle_bytes(const VitAttentionParams* p, int32_t rows) {
  return vit_max_size(middle_bytes(&p->k, rows), middle_bytes(&p->v, rows));
}

static size_t kv_bytes(const VitAttentionParams* p, const VitAttentionPlan* plan, int32_t rows) {
  return vit_area(rows, plan->row_stride, sizeof(int16_t)) + kv_middle_bytes(p, rows) +
         expansion_bytes(p, &p->k, &p->v);
}

// Queries whose scores exist at a time. Neither scores nor widened queries take more than the
// exponentials of a tile, so that a small network's arena is not mostly these; in place of the
// rows, `row_bytes`, scores cost nothing.
static int32_t score_rows(const VitAttentionParams* p, const VitAttentionPlan* plan,
                          size_t row_bytes) {
  const int32_t capacity = vit_row_capacity(plan->tile);
  const size_t exponentials = vit_area(capacity, plan->token_stride, sizeof(int16_t));
  size_t space = (size_t)p->expanded_inputs * VIT_SCORE_BYTES / VIT_MAX_EXPANSION;
  if (space > exponentials) space = exponentials;
  if (plan->group_heads == 1) space = vit_max_size(space, row_bytes);
  const size_t by_scores = space / (sizeof(int32_t) * (size_t)plan->token_stride);
  const size_t by_queries = exponentials / (sizeof(int16_t) * (size_t)plan->dh_even);
  const int32_t rows = (int32_t)(by_scores < by_queries ? by_scores : by_queries);
  return vit_clamp(rows & ~1, VIT_ROW_GROUP, capacity);
}

// Rows and scores; returns their end.
static size_t place_scores(const VitAttentionParams* p, VitAttentionPlan* plan, size_t base) {
  const size_t rows = vit_area(vit_row_capacity(plan->tile), plan->row_stride, sizeof(int16_t));
  const int one = plan->group_heads == 1;
  plan->score_rows = score_rows(p, plan, rows);
  const size_t scores = vit_area(plan->score_rows, plan->token_stride, sizeof(int32_t));
  plan->rows = base;
  plan->scores = one ? base : base + rows;
  return one ? base + vit_max_size(rows, scores) : plan->scores + scores;
}

// Places the tile region from `base` on, and sets the size of the whole.
static void place_tile(const VitAttentionParams* p, VitAttentionPlan* plan, size_t base) {
  const int32_t rows = vit_row_capacity(plan->tile);
  const int one = plan->group_heads == 1;
  const size_t values = value_bytes(p, plan);
  size_t end = place_scores(p, plan, base);
  if (!one) end = vit_max_size(end, plan->scores + values);
  plan->totals = end;
  const int32_t entries = vit_relative_entries(p);
  plan->relative_products = plan->totals + vit_area(plan->tile, 1, sizeof(int32_t));
  plan->relative_sums =
      plan->relative_products + vit_area(plan->score_rows, entries, sizeof(int32_t));
  plan->bias = plan->relative_sums + vit_area(rows, entries, sizeof(int16_t));
  plan->exponentials = plan->bias + vit_window_bias_bytes(p);
  plan->middle = plan->exponentials;
  plan->expansion =
      plan->middle + vit_max_size(middle_bytes(&p->q, rows), middle_bytes(&p->out, rows));
  plan->queries =
      vit_max_size(plan->exponentials + vit_area(rows, plan->token_stride, sizeof(int16_t)),
                   plan->expansion + expansion_bytes(p, &p->q, &p->out));
  plan->query_rows = plan->queries + vit_area(rows, plan->group_heads * p->head_dim, 1);
  plan->key_expansion = plan->query_rows + vit_area(plan->score_rows, plan->dh_even, 2);
  plan->bytes = plan->key_expansion + vit_expansion_bytes(p->head_dim, VIT_MAX_HEAD_DIM);
  plan->value_expansion = one ? plan->queries : plan->scores;
  if (one) plan->bytes = vit_max_size(plan->bytes, plan->value_expansion + values);
  plan->value_expansion_end = one ? plan->bytes : plan->totals;
  plan->bytes = vit_max_size(plan->bytes, base + kv_bytes(p, plan, rows));
}

VitAttentionPlan vit_attention_plan(const VitAttentionParams* p) {
  VitAttentionPlan plan = {0};
  const int32_t features = p->heads * p->value_dim;
  plan.tile = vit_min32(p->token_tile, p->key_tokens);
  plan.group_heads = p->heads_at_a_time == p->heads ? p->heads : 1;
  plan.group_key_heads = plan.group_heads == p->heads ? p->key_heads : 1;
  plan.dh_even = vit_even(p->head_dim);
  plan.row_stride = vit_even(vit_max32(p->embed_dim, features));
  plan.token_stride = vit_round_up(p->key_tokens, 4);
  plan.key_head_bytes = (size_t)vit_even(p->key_tokens) * (size_t)plan.dh_even;
  plan.value_head_bytes = (size_t)p->value_dim * (size_t)plan.token_stride;
  plan.values = vit_align(plan.key_head_bytes * (size_t)plan.group_key_heads);
  const size_t base = plan.values + vit_align(plan.value_head_bytes * (size_t)plan.group_key_heads);
  place_tile(p, &plan, base);
  // Keys and values are projected with as many rows as fit where the queries' buffers come later:
  // their weights are fetched less often at no cost in memory.
  const int32_t all_rows = vit_row_capacity(p->key_tokens);
  plan.kv_rows = vit_row_capacity(plan.tile);
  while (plan.kv_rows < all_rows &&
         base + kv_bytes(p, &plan, plan.kv_rows + VIT_ROW_GROUP) <= plan.bytes) {
    plan.kv_rows += VIT_ROW_GROUP;
  }
  plan.kv_middle = base + vit_area(plan.kv_rows, plan.row_stride, sizeof(int16_t));
  plan.kv_expansion = plan.kv_middle + kv_middle_bytes(p, plan.kv_rows);
  plan.context = plan.bytes;
  if (plan.group_heads == 1) {
    plan.bytes += vit_area(p->key_tokens, features - p->value_dim, sizeof(int8_t));
  }
  plan.window = plan.bytes;
  if (vit_copies_windows(p)) {
    plan.bytes += vit_area(p->key_tokens, p->embed_dim, (size_t)(p->residual.bits / 8));
  }
  return plan;
}
