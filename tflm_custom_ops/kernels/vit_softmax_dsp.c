// SPDX-License-Identifier: Apache-2.0
// Exponentials and context of one head on the DSP cores. Exponentials are a tile
// (vit_gemm_dsp.h) whose tokens come in fours in the order (0, 2, 1, 3), in which SXTB16 widens
// the values.
#include "vit_softmax.h"

#if VIT_USE_DSP

#include "vit_expand_dsp.h"
#include "vit_gemm_dsp.h"
#include "vit_simd.h"

void vit_scores(const VitHead* head, VitRows q, const int16_t* keys, uint32_t* expanded,
                int32_t* scores) {
  vit_dsp_scores(q.data, vit_dsp_groups(q.rows), q.stride, keys, vit_even(head->tokens) / 2,
                 expanded, scores);
}

int32_t vit_exponentials(const VitSoftmax* softmax, const int32_t* scores, int32_t tokens,
                         int16_t* e) {
  return vit_dsp_softmax_row(scores, e, tokens, softmax);
}

void vit_tile_exponentials(const VitHead* head, VitRows q, const int16_t* keys, uint32_t* expanded,
                           int32_t* scores, VitRows e, int32_t* totals) {
  const int32_t group_scores = VIT_ROW_GROUP * vit_exponential_stride(head->tokens);
  vit_scores(head, q, keys, expanded, scores);
  for (int32_t r = 0; r < q.rows; ++r) {
    const int32_t* row =
        scores + (r / VIT_ROW_GROUP) * group_scores + (r % VIT_ROW_GROUP) * VIT_DSP_CHANNELS;
    totals[r] = vit_dsp_softmax_row(row, vit_wide_row(e, r), head->tokens, &head->softmax);
  }
}

// Channels of the values at a time: one for each stream of the core.
#define CHANNELS 3
// Query rows that share the expanded values.
#define QUERY_BLOCK (VIT_DSP_MAX_GROUPS * VIT_ROW_GROUP)

// sums[rows][3] = exponentials of the first `tokens` (whole groups of four) x three channels of the
// values, from `v` on, of which `channels` exist.
static void weighted_sums(VitRows e, const int8_t* v, int32_t channels, int32_t tokens,
                          VitExpansion expansion, int32_t* sums) {
  const int32_t stride = e.stride;
  const int8_t* v1 = channels > 1 ? v + stride : v;
  const int8_t* v2 = channels > 2 ? v1 + stride : v;
  for (int32_t j = 0; j < tokens; j += expansion.inputs) {
    const int32_t count = vit_min32(expansion.inputs, tokens - j);
    vit_dsp_expand_values(v + j, v1 + j, v2 + j, expansion.words, count / 4);
    vit_dsp_weighted(e.data, vit_dsp_groups(e.rows), stride, j, count, expansion.words, sums);
  }
}

// The late division of one query row: c = clamp((mulh((A - zero) << shift, multiplier) + bias) >>
// 16).
typedef struct {
  int32_t zero;
  int32_t shift;
  int32_t multiplier;
} Division;

static Division division_of(const VitHead* head, int32_t total) {
  const int32_t shift = vit_clz32((uint32_t)total) - 9;
  const int32_t multiplier = (int32_t)(head->context_numerator / ((int64_t)total << shift));
  return (Division){vit_mul32(head->value_zero_point, total), shift, multiplier};
}

static inline int32_t divide(Division d, int32_t bias, int32_t sum) {
  const int32_t a = vit_shl32(vit_sub32(sum, d.zero), d.shift);
  return vit_sat8(vit_mulh_add(bias, a, d.multiplier) >> 16);
}

// Three channels of int8 rows.
static void store_narrow(const Division* d, int32_t bias, const int32_t* sums, int32_t rows,
                         int8_t* out, int32_t stride) {
  for (int32_t r = 0; r < rows; ++r, sums += CHANNELS, out += stride) {
    const Division division = d[r];
    out[0] = (int8_t)divide(division, bias, sums[0]);
    out[1] = (int8_t)divide(division, bias, sums[1]);
    out[2] = (int8_t)divide(division, bias, sums[2]);
  }
}

// Three channels of wide rows, which begin at the tile's elements at[0..2] of each row.
static void store_wide(const Division* d, int32_t bias, const int32_t* sums, int32_t rows,
                       VitRows wide, int32_t first, const int32_t* at) {
  const int32_t group_elements = VIT_ROW_GROUP * wide.stride;
  int16_t* out = vit_wide_row(wide, first);
  const int32_t at0 = at[0], at1 = at[1], at2 = at[2];
  for (int32_t r = 0; r < rows; r += VIT_ROW_GROUP, out += group_elements) {
    for (int32_t i = 0; i < VIT_ROW_GROUP; ++i, ++d, sums += CHANNELS) {
      const Division division = *d;
      out[2 * i + at0] = (int16_t)divide(division, bias, sums[0]);
      out[2 * i + at1] = (int16_t)divide(division, bias, sums[1]);
      out[2 * i + at2] = (int16_t)divide(division, bias, sums[2]);
    }
  }
}

// One channel, as the last ones of a head that are not three.
static void store_channel(const Division* d, int32_t bias, const int32_t* sums, int32_t rows,
                          const VitContext* out, int32_t first, int32_t channel) {
  const int32_t at = vit_wide_at(out->column + channel);
  for (int32_t r = 0; r < rows; ++r) {
    const int32_t c = divide(d[r], bias, sums[CHANNELS * r]);
    if (out->narrow) {
      out->narrow[(first + r) * out->stride + channel] = (int8_t)c;
    } else {
      vit_wide_row(out->wide, first + r)[at] = (int16_t)c;
    }
  }
}

// Turns weighted sums of `channels` channels from d on, rows from `first` on, into A << g with the
// relative values.
static void __attribute__((noinline))
add_relative(const VitHead* head, const VitContext* out, VitRange rows, const int32_t* totals,
             int32_t d, VitExpansion expansion, int32_t* sums) {
  int32_t relative[CHANNELS * QUERY_BLOCK];
  const VitRelativeValues* r = out->relative;
  const int32_t count = rows.end - rows.begin, entries = r->sums.stride;
  const int32_t channels = vit_min32(CHANNELS, head->value_dim - d);
  const VitRows block = {vit_wide_row(r->sums, rows.begin), entries, count};
  weighted_sums(block, r->values + (ptrdiff_t)d * entries, channels, entries, expansion, relative);
  for (int32_t i = 0; i < count; ++i) {
    const int32_t total = totals[rows.begin + i], shift = vit_clz32((uint32_t)total) - 9;
    const int32_t zero = vit_mul32(head->value_zero_point, total);
    for (int32_t c = CHANNELS * i; c < CHANNELS * (i + 1); ++c) {
      sums[c] = vit_relative_sum(vit_sub32(sums[c], zero), shift, relative[c], r->shift);
    }
  }
}

void vit_context(const VitHead* head, VitRows e, const int32_t* totals, const int8_t* values,
                 VitExpansion expansion, const VitContext* out) {
  Division divisions[QUERY_BLOCK];
  int32_t sums[CHANNELS * QUERY_BLOCK];
  const int32_t bias = head->context_zero_point * 65536 + 32768;
  const int32_t tokens = vit_exponential_stride(head->tokens);
  for (int32_t first = 0; first < e.rows; first += QUERY_BLOCK) {
    const int32_t rows = vit_min32(QUERY_BLOCK, e.rows - first);
    const VitRows block = {vit_wide_row(e, first), e.stride, rows};
    for (int32_t r = 0; r < rows; ++r) {
      divisions[r] = division_of(head, totals[first + r]);
      if (out->relative) divisions[r].zero = divisions[r].shift = 0;  // add_relative() does both
    }
    // The row that fills the last group is computed too, and nobody reads it.
    if (rows & 1) divisions[rows] = divisions[0];
    for (int32_t d = 0; d < head->value_dim; d += CHANNELS) {
      const int32_t channels = vit_min32(CHANNELS, head->value_dim - d), column = out->column + d;
      weighted_sums(block, values + (ptrdiff_t)d * e.stride, channels, tokens, expansion, sums);
      if (out->relative) {
        add_relative(head, out, (VitRange){first, first + rows}, totals, d, expansion, sums);
      }
      if (channels < CHANNELS) {
        for (int32_t i = 0; i < channels; ++i) {
          store_channel(divisions, bias, sums + i, rows, out, first, d + i);
        }
      } else if (out->narrow) {
        store_narrow(divisions, bias, sums, rows, out->narrow + first * out->stride + d,
                     out->stride);
      } else {
        const int32_t at[CHANNELS] = {vit_wide_at(column), vit_wide_at(column + 1),
                                      vit_wide_at(column + 2)};
        store_wide(divisions, bias, sums, rows, out->wide, first, at);
      }
    }
  }
}

#endif  // VIT_USE_DSP
