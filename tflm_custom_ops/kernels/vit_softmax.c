// SPDX-License-Identifier: Apache-2.0
#include "vit_softmax.h"

#include "vit_gemm.h"
#include "vit_math.h"
#include "vit_simd.h"
#include "vit_softmax_mve.h"

// The score of a key that is left out: less than any other.
#define MASKED_SCORE (-(1 << 30))
// Two products of a query's and a key's channel differ by no more: |q - z| <= 255, |key| <= 128.
#define CHANNEL_DIFFERENCE (2 * 255 * 128)

static void add_bias(VitSeen seen, int32_t* scores) {
  for (int32_t j = 0; j < seen.tokens; ++j) {
    const int32_t at = vit_score_at(j), bias = seen.bias[j];
    scores[at] = bias == INT16_MIN ? MASKED_SCORE : scores[at] + bias * (1 << seen.bias_shift);
  }
}

// Cuts off scores that are so far below the largest that the difference, shifted, would not be an
// int32; their exponential is 0.
static void limit_scores(const VitSoftmax* softmax, int32_t tokens, int32_t* scores) {
  int32_t largest = scores[0];
  for (int32_t j = 1; j < tokens; ++j) largest = vit_max32(largest, scores[vit_score_at(j)]);
  const int32_t least = largest - (INT32_MAX >> softmax->shift);
  for (int32_t j = 0; j < tokens; ++j) {
    scores[vit_score_at(j)] = vit_max32(scores[vit_score_at(j)], least);
  }
}

int32_t vit_seen_exponentials(const VitHead* head, VitSeen seen, int32_t* scores, int16_t* e) {
  const VitSoftmax* softmax = &head->softmax;
  if (seen.bias) add_bias(seen, scores);
  const int fits = (int64_t)head->head_dim * CHANNEL_DIFFERENCE <= INT32_MAX >> softmax->shift;
  const int adds = seen.bias || seen.is_relative;
  if (softmax->shift > 0 && (adds || !fits)) limit_scores(softmax, seen.tokens, scores);
  const int32_t total = vit_exponentials(softmax, scores, seen.tokens, e);
  const int32_t stride = vit_exponential_stride(head->tokens);
  for (int32_t j = vit_exponential_stride(seen.tokens); j < stride; ++j) e[vit_wide_at(j)] = 0;
  return total;
}

#if !VIT_USE_DSP

typedef struct {
  const uint16_t* table;
  int32_t maximum;
  int32_t shift;
  int32_t multiplier;
} Exponent;

static inline int32_t exponential(Exponent x, int32_t score) {
  const int32_t difference = vit_shl32(vit_sub32(x.maximum, score), x.shift);
  const int32_t t = vit_usat13(vit_mulh(difference, x.multiplier));
  return x.table[t & 255] >> (t >> 8);
}

void vit_scores(const VitHead* head, VitRows q, const int16_t* keys, uint32_t* expanded,
                int32_t* scores) {
  (void)expanded;
  const int32_t dim = vit_even(head->head_dim);
  vit_gemm_rows(q.data, q.stride, q.rows, keys, dim, dim, vit_even(head->tokens), scores,
                vit_exponential_stride(head->tokens));
}

int32_t vit_exponentials(const VitSoftmax* softmax, const int32_t* scores, int32_t tokens,
                         int16_t* e) {
#if VIT_USE_MVE
  return vit_mve_exponentials(softmax, scores, tokens, e);
#endif
  int32_t maximum = scores[0];
  for (int32_t j = 1; j < tokens; ++j) maximum = vit_max32(maximum, scores[j]);
  const Exponent x = {softmax->table, maximum, softmax->shift, softmax->multiplier};
  int32_t total = 0, j = 0;
  for (; j + 4 <= tokens; j += 4) {
    const int32_t a = exponential(x, scores[j]), b = exponential(x, scores[j + 1]);
    const int32_t c = exponential(x, scores[j + 2]), d = exponential(x, scores[j + 3]);
    total += a + b + c + d;
    e[j] = (int16_t)a;
    e[j + (VIT_TURNED_FOURS ? 2 : 1)] = (int16_t)b;
    e[j + (VIT_TURNED_FOURS ? 1 : 2)] = (int16_t)c;
    e[j + 3] = (int16_t)d;
  }
  if (j < tokens) {
    int16_t last[4] = {0, 0, 0, 0};
    for (int32_t i = j; i < tokens; ++i) {
      last[i - j] = (int16_t)exponential(x, scores[i]);
      total += last[i - j];
    }
    e[j] = last[0];
    e[j + (VIT_TURNED_FOURS ? 2 : 1)] = last[1];
    e[j + (VIT_TURNED_FOURS ? 1 : 2)] = last[2];
    e[j + 3] = last[3];
  }
  return total;
}

void vit_tile_exponentials(const VitHead* head, VitRows q, const int16_t* keys, uint32_t* expanded,
                           int32_t* scores, VitRows e, int32_t* totals) {
  vit_scores(head, q, keys, expanded, scores);
  for (int32_t r = 0; r < q.rows; ++r) {
    totals[r] = vit_exponentials(&head->softmax, vit_score_row(head, scores, r), head->tokens,
                                 vit_wide_row(e, r));
  }
}

// Tokens of the values that are expanded to int16 at a time (on the stack), and query rows that
// share one expansion.
#define TOKEN_BLOCK 256
#define QUERY_BLOCK 48

// out[i] = v[i], i < count rounded up to four, in the order of the exponentials. What follows the
// `count` values is not read; the exponentials there are 0, so out may hold anything.
static void expand(const int8_t* v, int32_t count, int16_t* out) {
  int32_t i = 0;
#if VIT_TURNED_FOURS
  for (; i + 8 <= count; i += 8) {
    const uint32_t a = vit_load32(v + i), b = vit_load32(v + i + 4);
    vit_store32(out + i, vit_even_bytes(a));
    vit_store32(out + i + 2, vit_odd_bytes(a));
    vit_store32(out + i + 4, vit_even_bytes(b));
    vit_store32(out + i + 6, vit_odd_bytes(b));
  }
  for (; i < count; i += 4) {
    for (int32_t j = 0; j < 4; ++j) {
      const int32_t from = (j & 1) * 2 + (j >> 1);
      out[i + j] = i + from < count ? v[i + from] : 0;
    }
  }
#else
  for (; i < count; ++i) out[i] = v[i];
  for (; i & 3; ++i) out[i] = 0;
#endif
}

// acc[row][0..1] = sum_j e[row][j] * v[0..1][j], two channels, all tokens.
static void weighted_sums(VitRows e, const int8_t* v0, const int8_t* v1, int32_t tokens,
                          int32_t* acc) {
  int16_t wide[2 * TOKEN_BLOCK];
  for (int32_t i = 0; i < 2 * e.rows; ++i) acc[i] = 0;
  for (int32_t j = 0; j < tokens; j += TOKEN_BLOCK) {
    const int32_t count = vit_min32(TOKEN_BLOCK, tokens - j);
    expand(v0 + j, count, wide);
    expand(v1 + j, count, wide + TOKEN_BLOCK);
    vit_gemm_wide(e.data + j, e.stride, e.rows, wide, TOKEN_BLOCK, vit_round_up(count, 4), 2, acc,
                  2);
  }
}

static inline int32_t scale_of(int32_t total) { return vit_clz32((uint32_t)total) - 9; }

// A of a weighted sum.
static inline int32_t without_zero(const VitHead* head, int32_t sum, int32_t total) {
  return vit_sub32(sum, vit_mul32(head->value_zero_point, total));
}

// The late division: A / P in output units, of A << g, from multiplier m = context_numerator / (P
// << g).
static inline int32_t divide(const VitHead* head, int32_t a, int32_t m) {
  const int32_t bias = head->context_zero_point * 65536 + 32768;
  return vit_sat8(vit_mulh_add(bias, a, m) >> 16);
}

// Makes A << g of weighted sums acc[rows][2] of channels d and d + 1, rows from `first` on.
static void scale_sums(const VitHead* head, const VitContext* out, int32_t first, int32_t rows,
                       const int32_t* totals, int32_t d, int32_t* acc) {
  int32_t relative[2 * QUERY_BLOCK];
  const VitRelativeValues* r = out->relative;
  if (r) {
    const VitRows block = {r->sums.data + first * r->sums.stride, r->sums.stride, rows};
    const int8_t* v = r->values + d * block.stride;
    weighted_sums(block, v, d + 1 < head->value_dim ? v + block.stride : v, block.stride, relative);
  }
  for (int32_t i = 0; i < 2 * rows; ++i) {
    const int32_t total = totals[first + i / 2], g = scale_of(total);
    const int32_t a = without_zero(head, acc[i], total);
    acc[i] = r ? vit_relative_sum(a, g, relative[i], r->shift) : vit_shl32(a, g);
  }
}

void vit_context(const VitHead* head, VitRows e, const int32_t* totals, const int8_t* values,
                 VitExpansion expansion, const VitContext* out) {
  (void)expansion;
#if VIT_USE_MVE
  if (!out->relative) {
    vit_mve_context(head, e, totals, values, out);
    return;
  }
#endif
  int32_t acc[2 * QUERY_BLOCK];
  int32_t multiplier[QUERY_BLOCK];
  for (int32_t first = 0; first < e.rows; first += QUERY_BLOCK) {
    VitRows block = e;
    block.data += first * e.stride;
    block.rows = vit_min32(QUERY_BLOCK, e.rows - first);
    for (int32_t r = 0; r < block.rows; ++r) {
      const int32_t total = totals[first + r];
      multiplier[r] = (int32_t)(head->context_numerator / ((int64_t)total << scale_of(total)));
    }
    for (int32_t d = 0; d < head->value_dim; d += 2) {
      const int32_t two = d + 1 < head->value_dim;
      const int8_t* v = values + (ptrdiff_t)d * e.stride;
      weighted_sums(block, v, two ? v + e.stride : v, head->tokens, acc);
      scale_sums(head, out, first, block.rows, totals, d, acc);
      for (int32_t r = 0; r < block.rows; ++r) {
        for (int32_t i = 0; i <= two; ++i) {
          const int32_t c = divide(head, acc[2 * r + i], multiplier[r]);
          if (out->narrow) {
            out->narrow[(first + r) * out->stride + d + i] = (int8_t)c;
          } else {
            vit_input_row(out->wide, first + r)[vit_wide_at(out->column + d + i)] = (VitInput)c;
          }
        }
      }
    }
  }
}

#endif  // !VIT_USE_DSP
