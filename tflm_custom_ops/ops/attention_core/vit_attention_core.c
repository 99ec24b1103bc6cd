// SPDX-License-Identifier: Apache-2.0
#include "vit_attention_core_plan.h"
#include "vit_kernels.h"
#include "vit_math.h"
#include "vit_softmax.h"

// One run of the operator: what its steps share.
typedef struct {
  const VitAttentionCoreParams* p;
  VitAttentionCorePlan plan;
  VitHead head;
  const int8_t* q;
  const int8_t* k;
  const int8_t* v;
  int8_t* y;
  uint8_t* scratch;
} Run;

// The queries of one head of one batch, with the keys and values that the scratch holds.
typedef struct {
  int32_t batch;
  int32_t head;
  const int8_t* k;
  // A packed key is in [-127, 127]. One is added to all of a head where -128 is more frequent than
  // 127, which the softmax cancels; of the other end one is missing.
  int32_t shift;
  int32_t missing;  // how many elements lack `sign`
  int32_t sign;
} Place;

// An element of the packed keys that lacks one.
typedef struct {
  uint16_t token;
  uint16_t channel;
} Missing;

// Where a head's tokens begin in a tensor.
static int32_t first_of(const VitView* view, int32_t batch, int32_t head) {
  return view->offset + batch * view->batch_stride + head * view->head_stride;
}

// Keys of a head, two tokens in an int16 (vit_softmax.h), as they are; returns whether they fit.
// What follows an odd number of channels meets a query's 0.
static int pack_keys(const Run* run, const int8_t* k) {
  const VitAttentionCoreParams* p = run->p;
  const int32_t dim = vit_even(p->head_dim), step = p->k.channel_stride;
  int16_t* to = (int16_t*)run->scratch;
  int32_t least = 0;
  for (int32_t j = 0; j < p->key_tokens; j += 2, to += dim) {
    const int8_t* from = k + j * p->k.token_stride;
    const int8_t* next = j + 1 < p->key_tokens ? from + p->k.token_stride : from;
    for (int32_t d = 0; d < p->head_dim; ++d, from += step, next += step) {
      const int32_t a = *from, b = *next;
      least = vit_min32(least, vit_min32(a, b));
      to[d] = (int16_t)(a + 256 * b);
    }
  }
  return least > INT8_MIN;
}

// Finds what the packing of a head's keys lacks.
static void count_ends(const VitAttentionCoreParams* p, Place* at) {
  int32_t low = 0, high = 0;
  for (int32_t j = 0; j < p->key_tokens; ++j) {
    const int8_t* key = at->k + j * p->k.token_stride;
    for (int32_t d = 0; d < p->head_dim; ++d, key += p->k.channel_stride) {
      low += *key == INT8_MIN;
      high += *key == INT8_MAX;
    }
  }
  at->shift = low > high;
  at->sign = at->shift ? 1 : -1;
  at->missing = vit_min32(low, high);
}

// Keys with -128 among them, and a list of what they lack, if there is room for it.
static void pack_all_keys(const Run* run, Place at) {
  const VitAttentionCoreParams* p = run->p;
  const int32_t dim = vit_even(p->head_dim);
  Missing* missing = (Missing*)(run->scratch + run->plan.missing);
  const int is_listed = at.missing <= p->key_tokens;
  for (int32_t j = 0; j < p->key_tokens; ++j) {
    const int8_t* from = at.k + j * p->k.token_stride;
    int16_t* to = (int16_t*)run->scratch + (j >> 1) * dim;
    for (int32_t d = 0; d < p->head_dim; ++d, from += p->k.channel_stride) {
      const int32_t key = *from + at.shift, packed = vit_clamp(key, -127, 127);
      to[d] = (int16_t)(j & 1 ? to[d] + 256 * packed : packed);
      if (key != packed && is_listed) *missing++ = (Missing){(uint16_t)j, (uint16_t)d};
    }
  }
}

// Values of a head, [value_dim][key_stride].
static void turn_values(const Run* run, const int8_t* v) {
  const VitAttentionCoreParams* p = run->p;
  int8_t* out = (int8_t*)(run->scratch + run->plan.values);
  for (int32_t d = 0; d < p->value_dim; ++d, out += run->plan.key_stride) {
    const int8_t* from = v + d * p->v.channel_stride;
    for (int32_t j = 0; j < p->key_tokens; ++j) out[j] = from[j * p->v.token_stride];
  }
}

// Queries of a head from `token` on, as wide rows minus the zero point.
static void widen_queries(const Run* run, Place at, int32_t token, VitRows rows) {
  const VitAttentionCoreParams* p = run->p;
  const VitView* view = &p->q;
  const int8_t* from = run->q + first_of(view, at.batch, at.head) + token * view->token_stride;
  if (view->channel_stride == 1) {
    vit_widen_rows(from, view->token_stride, p->head_dim, p->q_zero_point, rows);
    return;
  }
  for (int32_t r = 0; r < rows.rows; ++r) {
    int16_t* to = vit_wide_row(rows, r);
    for (int32_t d = 0; d < p->head_dim; ++d) {
      const int32_t q = from[r * view->token_stride + d * view->channel_stride];
      to[vit_wide_at(d)] = (int16_t)(q - p->q_zero_point);
    }
  }
  vit_pad_rows(rows, p->head_dim);
}

// Adds to a query's scores with the first `keys` what the packed ones lack.
static void add_missing(const Run* run, Place at, const int16_t* query, int32_t keys,
                        int32_t* scores) {
  const VitAttentionCoreParams* p = run->p;
  if (at.missing <= p->key_tokens) {
    const Missing* missing = (const Missing*)(run->scratch + run->plan.missing);
    for (int32_t i = 0; i < at.missing && missing[i].token < keys; ++i) {
      scores[vit_score_at(missing[i].token)] += at.sign * query[vit_wide_at(missing[i].channel)];
    }
    return;
  }
  const int8_t end = at.shift ? INT8_MAX : INT8_MIN;
  for (int32_t j = 0; j < keys; ++j) {
    const int8_t* key = at.k + j * p->k.token_stride;
    int32_t sum = 0;
    for (int32_t d = 0; d < p->head_dim; ++d, key += p->k.channel_stride) {
      if (*key == end) sum += query[vit_wide_at(d)];
    }
    scores[vit_score_at(j)] += at.sign * sum;
  }
}

// The bias of a query, or NULL.
static const int16_t* bias_of(const Run* run, Place at, int32_t query) {
  const VitAttentionCoreParams* p = run->p;
  if (!p->bias_batches) return NULL;
  const ptrdiff_t plane =
      (at.batch % p->bias_batches) * (ptrdiff_t)p->bias_heads + (p->bias_heads == 1 ? 0 : at.head);
  return p->bias + (plane * p->tokens + query) * p->key_tokens;
}

// Keys that a query may see: those before.
static int32_t keys_of(const VitAttentionCoreParams* p, int32_t query) {
  return p->causal ? vit_min32(query + 1 + p->past_tokens, p->key_tokens) : p->key_tokens;
}

// Exponentials of a tile of queries, and their sums.
static VitRows tile_exponentials(const Run* run, Place at, int32_t token, int32_t count,
                                 int32_t* totals) {
  const VitAttentionCoreParams* p = run->p;
  const VitAttentionCorePlan* plan = &run->plan;
  int32_t* scores = (int32_t*)(run->scratch + plan->scores);
  const VitRows e = {(int16_t*)(run->scratch + plan->exponentials), plan->key_stride, count};
  VitRows q = {(int16_t*)(run->scratch + plan->query_rows), vit_even(p->head_dim), 0};
  for (int32_t row = 0; row < count; row += plan->score_rows) {
    q.rows = vit_min32(plan->score_rows, count - row);
    widen_queries(run, at, token + row, q);
    VitHead head = run->head;
    head.tokens = keys_of(p, token + row + q.rows - 1);
    vit_scores(&head, q, (const int16_t*)run->scratch,
               (uint32_t*)(run->scratch + plan->key_expansion), scores);
    for (int32_t r = 0; r < q.rows; ++r) {
      const int32_t query = token + row + r;
      int32_t* from = vit_score_row(&head, scores, r);
      if (at.missing) add_missing(run, at, vit_wide_row(q, r), head.tokens, from);
      const VitSeen seen = {keys_of(p, query), bias_of(run, at, query), p->bias_shift, 0};
      totals[row + r] = vit_seen_exponentials(&run->head, seen, from, vit_wide_row(e, row + r));
    }
  }
  return e;
}

static void store_context(const Run* run, Place at, int32_t token, VitRows e,
                          const int32_t* totals) {
  const VitAttentionCoreParams* p = run->p;
  const VitView* view = &p->out;
  const int is_row = view->channel_stride == 1;
  int8_t* y = run->y + first_of(view, at.batch, at.head) + token * view->token_stride;
  int8_t* tile = (int8_t*)(run->scratch + run->plan.context);
  const VitContext out = {is_row ? y : tile, is_row ? view->token_stride : p->value_dim, e, 0,
                          NULL};
  VitHead head = run->head;
  head.tokens = keys_of(p, token + e.rows - 1);
  vit_context(
      &head, e, totals, (const int8_t*)(run->scratch + run->plan.values),
      (VitExpansion){(uint32_t*)(run->scratch + run->plan.value_expansion), VIT_VALUE_TOKENS},
      &out);
  if (is_row) return;
  for (int32_t r = 0; r < e.rows; ++r, y += view->token_stride) {
    for (int32_t d = 0; d < p->value_dim; ++d) y[d * view->channel_stride] = *tile++;
  }
}

// All queries of a head.
static void run_head(const Run* run, Place at) {
  int32_t* totals = (int32_t*)(run->scratch + run->plan.totals);
  const int32_t tokens = run->p->tokens;
  for (int32_t token = 0; token < tokens; token += run->plan.tile) {
    const int32_t count = vit_min32(run->plan.tile, tokens - token);
    const VitRows e = tile_exponentials(run, at, token, count, totals);
    store_context(run, at, token, e, totals);
  }
}

static VitHead head_of(const VitAttentionCoreParams* p) {
  return (VitHead){{p->score_multiplier, p->exp_table, p->score_shift},
                   p->context_numerator,
                   p->context_zero_point,
                   p->v_zero_point,
                   p->key_tokens,
                   p->head_dim,
                   p->value_dim};
}

size_t vit_attention_core_scratch_bytes(const VitAttentionCoreParams* params) {
  return vit_attention_core_plan(params).bytes;
}

void vit_attention_core(const VitAttentionCoreParams* params, const int8_t* q, const int8_t* k,
                        const int8_t* v, int8_t* y, void* scratch) {
  const VitAttentionCoreParams* p = params;
  const Run run = {p, vit_attention_core_plan(p), head_of(p), q, k, v, y, (uint8_t*)scratch};
  const int32_t group = p->heads / p->key_heads;
  for (int32_t batch = 0; batch < p->batches; ++batch) {
    for (int32_t h = 0; h < p->key_heads; ++h) {
      Place at = {batch, 0, k + first_of(&p->k, batch, h), 0, 0, 0};
      if (!pack_keys(&run, at.k)) {
        count_ends(p, &at);
        pack_all_keys(&run, at);
      }
      turn_values(&run, v + first_of(&p->v, batch, h));
      for (int32_t i = 0; i < group; ++i) {
        at.head = h * group + i;
        run_head(&run, at);
      }
    }
  }
}
