// SPDX-License-Identifier: Apache-2.0
#include "vit_attention_plan.h"
#include "vit_kernels.h"
#include "vit_math.h"
#include "vit_norm.h"
#include "vit_relative.h"
#include "vit_softmax.h"
#include "vit_softmax_mve.h"
#include "vit_windows.h"

// One run of the operator: what its steps share.
typedef struct {
  const VitAttentionParams* p;
  VitAttentionPlan plan;
  VitHead head;
  int32_t shared;  // heads of queries for each of keys
  VitWindow window;
  const void* x;  // of a window, if there are several, its tokens in the scratch
  void* y;
  uint8_t* scratch;
} Run;

// Heads [begin, end).
typedef VitRange Heads;

// Whether keys are int8 rows (vit_softmax_mve.h) instead of packed in pairs.
static int has_key_rows(const VitAttentionParams* p) { return VIT_USE_MVE && !(p->head_dim & 15); }

static const void* input_row(const Run* run, int32_t token) {
  return vit_stream_row(run->x, run->p->residual.bits, token, run->p->embed_dim);
}

// The row buffer for the context of `count` tokens.
static VitRows context_rows(const Run* run, int32_t count) {
  const int32_t features = run->p->heads * run->p->value_dim;
  return (VitRows){(int16_t*)(run->scratch + run->plan.rows), vit_even(features), count};
}

// Elements of a row of the int8 context: of all heads but the last.
static int32_t narrow_stride(const VitAttentionParams* p) { return (p->heads - 1) * p->value_dim; }

// The norm of `count` tokens, or the tokens themselves, into the row buffer.
static VitRows normalized_rows(const Run* run, int32_t token, int32_t count) {
  const VitRows rows = {(int16_t*)(run->scratch + run->plan.rows), vit_even(run->p->embed_dim),
                        count};
  const void* x = input_row(run, token);
  if (run->p->norm_place == kVitNormPlaceAbsent) {
    vit_input_rows((const int8_t*)x, run->p->embed_dim, run->p->embed_dim, rows);
  } else {
    vit_norm_rows(&run->p->norm, x, &run->p->residual, rows);
  }
  return rows;
}

static void low_rank(const VitProjection* p, VitRows* rows, int16_t* middle,
                     VitExpansion expansion) {
  if (!p->rank) return;
  const VitRows low = {middle, vit_even(p->rank), rows->rows};
  vit_project_down(p, *rows, low, expansion);
  *rows = low;
}

// The memory for the weights of the projections of keys and values.
static VitExpansion kv_expansion(const Run* run) {
  const size_t begin = run->plan.kv_expansion;
  return vit_expansion(run->scratch + begin, run->plan.context - begin);
}

// The same of queries and of the output.
static VitExpansion tile_expansion(const Run* run) {
  const size_t begin = run->plan.expansion;
  return vit_expansion(run->scratch + begin, run->plan.queries - begin);
}

// For values of whole fours of tokens.
static VitExpansion value_expansion(const Run* run) {
  const size_t begin = run->plan.value_expansion;
  VitExpansion expansion =
      vit_expansion(run->scratch + begin, run->plan.value_expansion_end - begin);
  expansion.inputs = vit_min32(expansion.inputs & ~3, VIT_VALUE_TOKENS);
  return expansion;
}

// Keys and values of some key heads, for the tokens in `rows`. One call of the layer per head,
// since each head has a buffer of its own.
static void store_keys(const Run* run, VitRows rows, int32_t token, Heads heads) {
  const VitAttentionParams* p = run->p;
  const VitExpansion expansion = kv_expansion(run);
  VitStore store = {0};
  const int rows_of_bytes = has_key_rows(p);
  store.function = rows_of_bytes ? vit_store_int8 : vit_store_key;
  store.out_stride = run->plan.dh_even;
  store.first_row = token;
  for (int32_t h = heads.begin; h < heads.end; ++h) {
    int16_t* keys = (int16_t*)(run->scratch + run->plan.key_head_bytes * (size_t)(h - heads.begin));
    store.out = rows_of_bytes ? (void*)((int8_t*)keys + token * p->head_dim) : keys;
    store.first_channel = h * p->head_dim;
    vit_project_up(&p->k, rows, (VitRange){h * p->head_dim, (h + 1) * p->head_dim}, expansion,
                   &store);
  }
}

static void store_values(const Run* run, VitRows rows, int32_t token, Heads heads) {
  const VitAttentionParams* p = run->p;
  VitStore store = {0};
  store.function = vit_store_value;
  store.out = (int8_t*)(run->scratch + run->plan.values) + token;
  store.out_stride = run->plan.token_stride;
  store.first_channel = heads.begin * p->value_dim;
  vit_project_up(&p->v, rows, (VitRange){heads.begin * p->value_dim, heads.end * p->value_dim},
                 kv_expansion(run), &store);
}

static void keys_and_values(const Run* run, Heads heads) {
  const VitAttentionParams* p = run->p;
  int16_t* middle = (int16_t*)(run->scratch + run->plan.kv_middle);
  for (int32_t token = 0; token < p->key_tokens; token += run->plan.kv_rows) {
    const VitRows rows =
        normalized_rows(run, token, vit_min32(run->plan.kv_rows, p->key_tokens - token));
    VitRows inputs = rows;
    low_rank(&p->k, &inputs, middle, kv_expansion(run));
    store_keys(run, inputs, token, heads);
    if (!p->shared_down) {
      inputs = rows;
      low_rank(&p->v, &inputs, middle, kv_expansion(run));
    }
    store_values(run, inputs, token, heads);
  }
}

// A head as the queries before `token` see it.
static VitHead head_until(const Run* run, int32_t token) {
  VitHead head = run->head;
  if (run->p->causal) head.tokens = token;
  return head;
}

// What query `token` of a head sees.
static VitSeen seen_by(const Run* run, int32_t head, int32_t token) {
  const VitAttentionParams* p = run->p;
  VitSeen seen = {p->causal ? token + 1 : p->key_tokens, NULL, p->bias_shift, p->relative_distance};
  if (run->window.is_cut || p->bias_kind == kVitBiasKindRelative) {
    int16_t* bias = (int16_t*)(run->scratch + run->plan.bias);
    vit_window_bias(p, &run->window, head, token, bias);
    seen.bias = bias;
  } else if (p->bias_kind) {
    seen.bias = vit_stored_bias(p, head, token);
  }
  return seen;
}

// The sums of exponentials by relative distance, of `count` queries.
static VitRows relative_sums(const Run* run, int32_t count) {
  return (VitRows){(int16_t*)(run->scratch + run->plan.relative_sums), vit_relative_entries(run->p),
                   count};
}

// Scores of a tile of queries int8 [rows][stride], which `q` has widened (unless the keys are rows
// of bytes), for keys as store_keys stores them.
static void key_scores(const Run* run, const VitHead* head, const int8_t* queries, int32_t stride,
                       VitRows q, const int16_t* keys) {
  int32_t* scores = (int32_t*)(run->scratch + run->plan.scores);
#if VIT_USE_MVE
  if (has_key_rows(run->p)) {
    const VitMveQueries narrow = {queries, stride, q.rows, run->p->q.up.out_zero_point};
    vit_mve_scores(head, narrow, (const int8_t*)keys, scores);
    return;
  }
#endif
  (void)queries;
  (void)stride;
  vit_scores(head, q, keys, (uint32_t*)(run->scratch + run->plan.key_expansion), scores);
}

// Scores and exponentials of queries from `token` on, each of which sees other keys. `row`: of the
// first one in the tile.
static void seen_exponentials(const Run* run, int32_t head, int32_t token, int32_t row,
                              const int8_t* queries, int32_t query_stride, VitRows q,
                              const int16_t* keys, VitRows e, int32_t* totals) {
  const VitAttentionParams* p = run->p;
  int32_t* scores = (int32_t*)(run->scratch + run->plan.scores);
  int32_t* products = (int32_t*)(run->scratch + run->plan.relative_products);
  uint32_t* expansion = (uint32_t*)(run->scratch + run->plan.key_expansion);
  const VitHead scored = head_until(run, token + q.rows);
  VitHead tables = run->head;
  tables.tokens = vit_relative_entries(p);
  key_scores(run, &scored, queries, query_stride, q, keys);
  if (p->relative_distance) vit_scores(&tables, q, p->relative_keys, expansion, products);
  for (int32_t r = 0; r < q.rows; ++r) {
    const VitSeen seen = seen_by(run, head, token + r);
    int32_t* from = vit_score_row(&scored, scores, r);
    int16_t* to = vit_wide_row(e, r);
    if (seen.is_relative) {
      int32_t* given = vit_score_row(&tables, products, r);
      vit_add_relative(p, token + r, seen.tokens, given, from);
    }
    totals[r] = vit_seen_exponentials(&run->head, seen, from, to);
    if (seen.is_relative) {
      int16_t* sums = vit_wide_row(relative_sums(run, row + r), row + r);
      vit_relative_sums(p, token + r, to, totals[r], sums);
    }
  }
}

// Exponentials of a head's scores, for a tile of queries int8 [count][query_stride] from `token`
// on.
static VitRows tile_exponentials(const Run* run, int32_t head, int32_t token, const int8_t* queries,
                                 int32_t query_stride, int32_t count, const int16_t* keys,
                                 int32_t* totals) {
  const VitAttentionParams* p = run->p;
  const VitAttentionPlan* plan = &run->plan;
  int32_t* scores = (int32_t*)(run->scratch + plan->scores);
  VitRows e = {(int16_t*)(run->scratch + plan->exponentials), plan->token_stride, count};
  VitRows q = {(int16_t*)(run->scratch + plan->query_rows), plan->dh_even, 0};
  for (int32_t row = 0; row < count; row += plan->score_rows) {
    q.rows = vit_min32(plan->score_rows, count - row);
    if (!has_key_rows(p) || p->relative_distance) {
      vit_widen_rows(queries + row * query_stride, query_stride, p->head_dim,
                     p->q.up.out_zero_point, q);
    }
    const VitRows part = {vit_wide_row(e, row), e.stride, q.rows};
    if (p->causal || p->bias_kind || p->relative_distance || run->window.is_cut) {
      seen_exponentials(run, head, token + row, row, queries + row * query_stride, query_stride, q,
                        keys, part, totals + row);
      continue;
    }
#if VIT_USE_MVE
    key_scores(run, &run->head, queries + row * query_stride, query_stride, q, keys);
    for (int32_t r = 0; r < q.rows; ++r) {
      totals[row + r] = vit_exponentials(&run->head.softmax, vit_score_row(&run->head, scores, r),
                                         p->key_tokens, vit_wide_row(part, r));
    }
    continue;
#endif
    vit_tile_exponentials(&run->head, q, keys, (uint32_t*)(run->scratch + plan->key_expansion),
                          scores, part, totals + row);
  }
  return e;
}

// The context of `count` queries from `token` on, for some heads: to wide rows (all heads, or the
// last one), or to the int8 context of all tokens (one head).
static void tile_context(const Run* run, int32_t token, int32_t count, Heads heads) {
  const VitAttentionParams* p = run->p;
  const VitAttentionPlan* plan = &run->plan;
  const int32_t columns = (heads.end - heads.begin) * p->head_dim;
  int8_t* queries = (int8_t*)(run->scratch + plan->queries);
  int32_t* totals = (int32_t*)(run->scratch + plan->totals);
  VitStore store = {0};
  store.function = vit_store_int8;
  store.out = queries;
  store.out_stride = columns;
  store.first_channel = heads.begin * p->head_dim;
  store.has_whole_groups = 1;
  const VitRows rows = normalized_rows(run, token, count);
  VitHead seen;
  if (p->causal) seen = head_until(run, token + count);
  vit_project(&p->q, rows, (int16_t*)(run->scratch + plan->middle),
              (VitRange){heads.begin * p->head_dim, heads.end * p->head_dim}, tile_expansion(run),
              &store);
  for (int32_t h = heads.begin; h < heads.end; ++h) {
    const size_t of = (size_t)((h - heads.begin) / run->shared);
    const int16_t* keys = (const int16_t*)(run->scratch + plan->key_head_bytes * of);
    const int8_t* values =
        (const int8_t*)(run->scratch + plan->values) + plan->value_head_bytes * of;
    const VitRows e = tile_exponentials(run, h, token, queries + (h - heads.begin) * p->head_dim,
                                        columns, count, keys, totals);
    const VitRelativeValues relative = {relative_sums(run, count), p->relative_values,
                                        p->relative_value_shift};
    VitContext out = {NULL, narrow_stride(p), context_rows(run, count), h * p->value_dim,
                      p->relative_distance ? &relative : NULL};
    if (heads.end < p->heads) {
      out.narrow =
          (int8_t*)(run->scratch + plan->context) + (ptrdiff_t)token * out.stride + out.column;
    }
    vit_context(run->p->causal ? &seen : &run->head, e, totals, values, value_expansion(run), &out);
  }
}

// Output projection and residual of the context in the row buffer.
static void project_out(const Run* run, int32_t token, int32_t count) {
  const VitAttentionParams* p = run->p;
  const VitRows rows = context_rows(run, count);
  vit_pad_inputs(rows, p->heads * p->value_dim);
  void* y = (void*)vit_stream_row(run->y, p->residual.bits, token, p->embed_dim);
  const VitStore store = vit_residual_store(&p->residual, input_row(run, token), y, p->embed_dim);
  vit_project(&p->out, rows, (int16_t*)(run->scratch + run->plan.middle),
              (VitRange){0, p->embed_dim}, tile_expansion(run), &store);
}

// The context of all heads but the last joins that of the last one.
static void widen_context(const Run* run, int32_t token, int32_t count) {
  const int32_t stride = narrow_stride(run->p);
  const int8_t* context = (const int8_t*)(run->scratch + run->plan.context);
  vit_input_columns(context + (ptrdiff_t)token * stride, stride, stride, context_rows(run, count));
}

static VitHead head_of(const VitAttentionParams* p) {
  return (VitHead){{p->score_multiplier, p->exp_table, p->score_shift},
                   p->context_numerator,
                   p->context_zero_point,
                   p->v.up.out_zero_point,
                   p->key_tokens,
                   p->head_dim,
                   p->value_dim};
}

size_t vit_attention_scratch_bytes(const VitAttentionParams* params) {
  return vit_attention_plan(params).bytes;
}

// Attention of tokens that see each other: all, or those of a window. A tile's tokens are
// overwritten as soon as its queries of the last heads are done: keys and values of all exist by
// then.
static void attend(const Run* run) {
  const VitAttentionParams* p = run->p;
  const int32_t tile = run->plan.tile, group = run->plan.group_heads;
  for (int32_t h = 0; h < p->heads; h += group) {
    const Heads heads = {h, h + group};
    const int32_t key_head = h / run->shared;
    if (key_head * run->shared == h) {
      keys_and_values(run, (Heads){key_head, key_head + run->plan.group_key_heads});
    }
    for (int32_t token = 0; token < p->key_tokens; token += tile) {
      const int32_t count = vit_min32(tile, p->key_tokens - token);
      tile_context(run, token, count, heads);
      if (heads.end < p->heads) continue;
      if (h > 0) widen_context(run, token, count);
      project_out(run, token, count);
    }
  }
}

// Windows one after another, each in place on a copy of its tokens; a window that is the grid, or
// tokens of no grid, without.
void vit_attention(const VitAttentionParams* params, const void* x, void* y, void* scratch) {
  Run run = {params,
             vit_attention_plan(params),
             head_of(params),
             params->heads / params->key_heads,
             vit_window(params, 0, 0),
             x,
             y,
             (uint8_t*)scratch};
  const int copied = vit_copies_windows(params);
  uint8_t* tokens = run.scratch + run.plan.window;
  if (copied) run.x = run.y = tokens;
  const int32_t side = copied ? params->window : 1;
  for (int32_t row = 0; row < (copied ? params->grid_height : 1); row += side) {
    for (int32_t column = 0; column < (copied ? params->grid_width : 1); column += side) {
      if (copied) {
        run.window = vit_window(params, row, column);
        vit_copy_window(params, &run.window, (void*)x, tokens, 0);
      }
      attend(&run);
      if (copied) vit_copy_window(params, &run.window, y, tokens, 1);
    }
  }
}
