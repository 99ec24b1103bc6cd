// SPDX-License-Identifier: Apache-2.0
// Exponentials and context of one head on the DSP cores. Exponentials are a tile
// (vit_gemm_dsp.h) whose tokens come in fours in the order (0, 2, 1, 3), in which SXTB16 widens
// the values.
#include "vit_attention_dsp.h"

#if VIT_USE_DSP

#include "vit_gemm_dsp.h"
#include "vit_simd.h"
#include "vit_softmax.h"
#include "vit_widen_dsp.h"

void vit_dsp_exponentials(const VitAttentionParams* p, VitRows q, const int16_t* keys,
                          int32_t* scores, int16_t* e, int32_t* totals) {
  const VitDspSoftmax softmax = {p->score_multiplier, p->exp_table, p->score_shift};
  vit_dsp_scores(q.data, q.stride, keys, vit_even(p->tokens) / 2, scores);
  for (int32_t r = 0; r < q.rows; ++r) {
    totals[r] = vit_dsp_softmax_row(scores + 2 * r, e + 2 * r, p->tokens, &softmax);
  }
}

// Tokens whose values are widened at a time, on the stack, and query rows that share them.
#define TOKEN_BLOCK 272
#define QUERY_BLOCK (VIT_DSP_MAX_GROUPS * VIT_DSP_GROUP)

// out = [count / 2][2 columns] words: the values of two channels, four tokens at a time, padded
// with 0.
static void widen_values(const int8_t* v0, const int8_t* v1, int32_t count, uint32_t* out) {
  const int32_t i = count & ~3;
  vit_dsp_widen_values(v0, v1, count / 4, out);
  out += i;
  if (i < count) {
    uint32_t a = 0, b = 0;
    for (int32_t j = i; j < count; ++j) {
      a |= (uint32_t)(uint8_t)v0[j] << (8 * (j - i));
      b |= (uint32_t)(uint8_t)v1[j] << (8 * (j - i));
    }
    out[0] = vit_even_bytes(a);
    out[1] = vit_even_bytes(b);
    out[2] = vit_odd_bytes(a);
    out[3] = vit_odd_bytes(b);
  }
}

// sums[groups][3][2] = exponentials x two channels of the values.
static void weighted_sums(const int16_t* e, int32_t groups, const int8_t* v0, const int8_t* v1,
                          int32_t tokens, int32_t* sums) {
  uint32_t columns[TOKEN_BLOCK];
  const int32_t stride = vit_round_up(tokens, 4);
  if (tokens <= TOKEN_BLOCK) {
    widen_values(v0, v1, tokens, columns);
    vit_dsp_wide(e, groups, stride, (const int16_t*)columns, sums);
    return;
  }
  for (int32_t i = 0; i < groups * 6; ++i) sums[i] = 0;
  for (int32_t j = 0; j < tokens; j += TOKEN_BLOCK) {
    const int32_t count = vit_min32(TOKEN_BLOCK, tokens - j);
    widen_values(v0 + j, v1 + j, count, columns);
    for (int32_t g = 0; g < groups; ++g) {
      int32_t part[6];
      vit_dsp_wide(e + (g * stride + j) * VIT_DSP_GROUP, 1, vit_round_up(count, 4),
                   (const int16_t*)columns, part);
      for (int32_t i = 0; i < 6; ++i) sums[6 * g + i] = vit_add32(sums[6 * g + i], part[i]);
    }
  }
}

// The late division of one query row: c = clamp((mulh((A - zero) << shift, multiplier) + bias) >>
// 16).
typedef struct {
  int32_t zero;
  int32_t shift;
  int32_t multiplier;
} Division;

static Division division_of(const VitAttentionParams* p, int32_t total) {
  const int32_t shift = vit_clz32((uint32_t)total) - 9;
  const int32_t multiplier = (int32_t)(p->context_numerator / ((int64_t)total << shift));
  return (Division){vit_mul32(p->v.up.out_zero_point, total), shift, multiplier};
}

static inline int32_t divide(const Division* d, int32_t bias, int32_t sum) {
  const int32_t a = vit_shl32(vit_sub32(sum, d->zero), d->shift);
  return vit_sat8(vit_mulh_add(bias, a, d->multiplier) >> 16);
}

// Two channels of up to QUERY_BLOCK rows to wide rows, from an even column on.
static void store_wide_pair(const Division* d, int32_t bias, const int32_t* sums, int32_t rows,
                            VitRows wide, int32_t first, int32_t column) {
  const int32_t group_elements = VIT_ROW_GROUP * wide.stride;
  int16_t* out = vit_wide_row(wide, first) + vit_wide_at(column);
  for (int32_t r = 0; r < rows; r += VIT_ROW_GROUP, out += group_elements) {
    for (int32_t i = 0; i < VIT_ROW_GROUP; ++i, ++d, sums += 2) {
      const int32_t a = divide(d, bias, sums[0]), b = divide(d, bias, sums[1]);
      vit_store32(out + 2 * i, vit_low_halves((uint32_t)a, (uint32_t)b));
    }
  }
}

// One channel, or two neighbours, of int8 rows.
static void store_narrow(const Division* d, int32_t bias, const int32_t* sums, int32_t rows,
                         int8_t* out, int32_t stride, int32_t two) {
  for (int32_t r = 0; r < rows; ++r, ++d, sums += 2, out += stride) {
    out[0] = (int8_t)divide(d, bias, sums[0]);
    if (two) out[1] = (int8_t)divide(d, bias, sums[1]);
  }
}

// One channel of wide rows, at any column.
static void store_wide_channel(const Division* d, int32_t bias, const int32_t* sums, int32_t rows,
                               VitRows wide, int32_t first, int32_t column) {
  const int32_t at = vit_wide_at(column);
  for (int32_t r = 0; r < rows; ++r) {
    vit_wide_row(wide, first + r)[at] = (int16_t)divide(&d[r], bias, sums[2 * r]);
  }
}

void vit_context(const VitAttentionParams* p, VitRows e, const int32_t* totals,
                 const int8_t* values, const VitContext* out) {
  Division divisions[QUERY_BLOCK];
  int32_t sums[2 * QUERY_BLOCK];
  const int32_t bias = p->context_zero_point * 65536 + 32768;
  for (int32_t first = 0; first < e.rows; first += QUERY_BLOCK) {
    const int32_t rows = vit_min32(QUERY_BLOCK, e.rows - first);
    for (int32_t r = 0; r < rows; ++r) divisions[r] = division_of(p, totals[first + r]);
    // The rows that fill the last group are computed too, and nobody reads them.
    for (int32_t r = rows; r < vit_dsp_groups(rows) * VIT_DSP_GROUP; ++r)
      divisions[r] = divisions[0];
    for (int32_t d = 0; d < p->head_dim; d += 2) {
      const int32_t two = d + 1 < p->head_dim;
      const int8_t* v = values + (ptrdiff_t)d * p->tokens;
      weighted_sums(e.data + first * e.stride, vit_dsp_groups(rows), v, two ? v + p->tokens : v,
                    p->tokens, sums);
      const int32_t column = out->column + d;
      if (out->narrow) {
        store_narrow(divisions, bias, sums, rows, out->narrow + first * out->stride + d,
                     out->stride, two);
      } else if (two && !(column & 1)) {
        store_wide_pair(divisions, bias, sums, rows, out->wide, first, column);
      } else {
        store_wide_channel(divisions, bias, sums, rows, out->wide, first, column);
        if (two) {
          store_wide_channel(divisions, bias, sums + 1, rows, out->wide, first, column + 1);
        }
      }
    }
  }
}

#endif  // VIT_USE_DSP
