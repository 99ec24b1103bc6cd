// SPDX-License-Identifier: Apache-2.0
// Exponentials of attention scores and the weighted sum of the values (docs/operators.md,
// Attention block).
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_SOFTMAX_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_SOFTMAX_H_

#include "vit_linear_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

// 1 where a group of four tokens is in the order in which SXTB16 widens bytes.
#define VIT_TURNED_FOURS (VIT_MATH_DSP && !VIT_USE_MVE)

// Elements of a row of exponentials: `tokens` rounded up to whole groups of four. With the DSP
// extension a group holds tokens (0, 2, 1, 3), the order in which SXTB16 widens bytes; the values
// are expanded in the same order.
static inline int32_t vit_exponential_stride(int32_t tokens) { return vit_round_up(tokens, 4); }

// Where the exponential of token j lies in a row of them.
static inline int32_t vit_exponential_at(int32_t j) {
#if VIT_USE_DSP
  return (j >> 2) * (VIT_ROW_GROUP * 4) + (j & 1) * (VIT_ROW_GROUP * 2) + (j >> 1 & 1);
#elif VIT_TURNED_FOURS
  return (j & ~3) | (j & 1) << 1 | (j >> 1 & 1);
#else
  return vit_wide_at(j);
#endif
}

// Scores of as many queries as this many bytes hold are computed at once, at least of two: the
// DSP core expands the keys once for all of them. No more bytes than a tile's exponentials, unless
// they lie in place of rows that are larger; a schedule with weights in parts has fewer in
// proportion.
#define VIT_SCORE_BYTES 8192
// Tokens whose values are expanded at a time, at most.
#define VIT_VALUE_TOKENS 264

// Arguments of the exponentials; the assembly reads the fields in this order.
typedef struct {
  int32_t multiplier;
  const uint16_t* table;
  int32_t shift;
} VitSoftmax;

// What attention with the keys and values of one head needs besides them.
typedef struct {
  VitSoftmax softmax;
  int64_t context_numerator;
  int32_t context_zero_point;
  int32_t value_zero_point;
  int32_t tokens;     // of keys and values
  int32_t head_dim;   // of queries and keys
  int32_t value_dim;  // of values
} VitHead;

// Scores int32 of a tile q of queries: q.rows rounded up to VIT_ROW_GROUP rows of
// vit_exponential_stride(tokens). keys: int16 [tokens even / 2][head_dim even], packed in token
// pairs, each in [-127, 127]. `expanded` is memory for head_dim inputs (vit_expansion_bytes).
void vit_scores(const VitHead* head, VitRows q, const int16_t* keys, uint32_t* expanded,
                int32_t* scores);

// First score of row `row`, and where that of token j lies from there.
#if VIT_USE_DSP
static inline int32_t* vit_score_row(const VitHead* head, int32_t* scores, int32_t row) {
  const int32_t group = row / VIT_ROW_GROUP, stride = vit_exponential_stride(head->tokens);
  return scores + group * VIT_ROW_GROUP * stride + (row - group * VIT_ROW_GROUP) * 4;
}
static inline int32_t vit_score_at(int32_t j) { return (j >> 2) * (VIT_ROW_GROUP * 4) + (j & 3); }
#else
static inline int32_t* vit_score_row(const VitHead* head, int32_t* scores, int32_t row) {
  return scores + row * vit_exponential_stride(head->tokens);
}
static inline int32_t vit_score_at(int32_t j) { return j; }
#endif

// One row of exponentials, of the first `tokens` scores, in a tile of exponentials; the last group
// of four is padded with 0. Returns their sum P.
int32_t vit_exponentials(const VitSoftmax* softmax, const int32_t* scores, int32_t tokens,
                         int16_t* e);

// The keys that a query sees: the first `tokens`, with what is added to their scores (NULL:
// nothing) as bias << bias_shift, bias_shift <= 8; INT16_MIN leaves a key out. `is_relative`: the
// scores are larger than products of queries and keys are.
typedef struct {
  int32_t tokens;
  const int16_t* bias;
  int32_t bias_shift;
  int32_t is_relative;
} VitSeen;

// One row of exponentials where not all keys are alike: of the keys that are seen, 0 for the rest
// of head->tokens. Scores are overwritten. Returns their sum.
int32_t vit_seen_exponentials(const VitHead* head, VitSeen seen, int32_t* scores, int16_t* e);

// Scores and exponentials of a tile of queries that see all keys: exponentials to `e`, a tile of
// stride vit_exponential_stride(tokens), and their sums.
void vit_tile_exponentials(const VitHead* head, VitRows q, const int16_t* keys, uint32_t* expanded,
                           int32_t* scores, VitRows e, int32_t* totals);

// A relative entry's unit is at most 2^VIT_RELATIVE_BITS of a key's or value's.
#define VIT_RELATIVE_BITS 3

// Relative values: their entries, weighed by sums of exponentials, join the context.
typedef struct {
  VitRows sums;          // of vit_relative_sums(), for the context's queries
  const int8_t* values;  // [value_dim][sums.stride], in units of values times 2^(3 - shift)
  int32_t shift;         // <= 11
} VitRelativeValues;

// A context's weighted sum `a` and that of the relative values, of a sum of exponentials << g.
static inline int32_t vit_relative_sum(int32_t a, int32_t g, int32_t relative, int32_t shift) {
  const int64_t sum =
      (int64_t)a * (1 << g) + (int64_t)relative * (256 << VIT_RELATIVE_BITS >> shift);
  return (int32_t)(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
}

// Where the context of a head goes: int8 rows, narrow[row * stride + d], or the columns from
// `column` on of wide rows.
typedef struct {
  int8_t* narrow;  // NULL: wide
  int32_t stride;
  VitRows wide;
  int32_t column;
  const VitRelativeValues* relative;  // NULL: none
} VitContext;

// Context of one head for a tile of queries: e.rows rows of exponentials with sums `totals`, and
// the head's values, int8 [value_dim][e.stride], in a row the tokens and then anything. The tokens
// that `expansion` holds are a multiple of 4. head->tokens may be fewer than those of `e`: the
// exponentials of the others are 0. Wide rows have memory for whole groups, and the row after an
// odd last one is undefined.
void vit_context(const VitHead* head, VitRows e, const int32_t* totals, const int8_t* values,
                 VitExpansion expansion, const VitContext* out);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_SOFTMAX_H_
