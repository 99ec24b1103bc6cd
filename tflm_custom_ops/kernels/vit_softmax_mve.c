// SPDX-License-Identifier: Apache-2.0
#include "vit_softmax_mve.h"

#if VIT_USE_MVE

#include <arm_mve.h>

#include "vit_gemm_mve.h"

#define OFFSET(field, offset) \
  _Static_assert(offsetof(VitMveWeighted, field) == (offset), "layout of " #field)
OFFSET(tokens, 12);
OFFSET(values, 16);
OFFSET(stride, 20);
OFFSET(pairs, 24);
OFFSET(out, 28);

// ---- scores ------------------------------------------------------------------------------------

#define KEYS 96  // whose scores are on the stack

// Four rows of scores of some keys, and what the queries' zero point takes from each.
typedef struct {
  int32_t* scores;
  int32_t stride;
  int32_t rows;
  int32_t count;  // of scores, a multiple of 4
  const int32_t* corrections;
} ScoreRows;

static void take_scores(int32_t* sums, void* context) {
  const ScoreRows to = *(const ScoreRows*)context;
  int32_t* out = to.scores;
  for (int32_t j = 0; j < to.count; j += 4, sums += 16, out += 4) {
    const int32x4x4_t v = vld4q_s32(sums);
    const int32x4_t c = vldrwq_s32(to.corrections + j);
    vstrwq_s32(out, vaddq_s32(v.val[0], c));
    if (to.rows > 1) vstrwq_s32(out + to.stride, vaddq_s32(v.val[1], c));
    if (to.rows > 2) vstrwq_s32(out + 2 * to.stride, vaddq_s32(v.val[2], c));
    if (to.rows > 3) vstrwq_s32(out + 3 * to.stride, vaddq_s32(v.val[3], c));
  }
}

static void correct(const int8_t* keys, int32_t dim, int32_t count, int32_t zero_point,
                    int32_t* corrections) {
  for (int32_t j = 0; j < count; ++j) {
    int32_t sum = 0;
    if (zero_point) {
      for (int32_t d = 0; d < dim; d += 16, keys += 16) sum = vaddvaq_s8(sum, vldrbq_s8(keys));
    }
    corrections[j] = -zero_point * sum;
  }
}

void vit_mve_scores(const VitHead* head, VitMveQueries q, const int8_t* keys, int32_t* scores) {
  int32_t corrections[KEYS] = {0};
  const int32_t stride = vit_exponential_stride(head->tokens), dim = head->head_dim;
  for (int32_t j = 0; j < head->tokens; j += KEYS) {
    const int32_t count = vit_min32(KEYS, head->tokens - j);
    const int8_t* first = keys + j * dim;
    correct(first, dim, count, q.zero_point, corrections);
    for (int32_t row = 0; row < q.rows; row += VIT_MVE_ROWS) {
      ScoreRows to = {scores + row * stride + j, stride, vit_min32(VIT_MVE_ROWS, q.rows - row),
                      vit_round_up(count, 4), corrections};
      VitMveGemm product;
      for (int32_t r = 0; r < VIT_MVE_ROWS; ++r) {
        product.rows[r] = q.data + (r < to.rows ? row + r : row) * q.stride;
      }
      product.first = first;
      product.last = first + (vit_even(count) - 2) * dim;
      product.stride = dim;
      product.steps = dim / 16;
      product.context = &to;
      product.take = take_scores;
      vit_mve_gemm(&product);
    }
  }
}

// ---- exponentials ------------------------------------------------------------------------------

static int32_t largest(const int32_t* scores, int32_t tokens) {
  int32_t maximum = scores[0], j = 0;
  if (tokens >= 4) {
    int32x4_t found = vldrwq_s32(scores);
    for (j = 4; j + 4 <= tokens; j += 4) found = vmaxq_s32(found, vldrwq_s32(scores + j));
    maximum = vmaxvq_s32(maximum, found);
  }
  for (; j < tokens; ++j) maximum = vit_max32(maximum, scores[j]);
  return maximum;
}

// Eight exponentials. The multiplier is negated, so that (s - maximum) gives what (maximum - s)
// does.
static inline uint16x8_t exponentials(const VitSoftmax* softmax, int32x4x2_t scores,
                                      int32_t maximum, int32x4_t multiplier) {
  const int32_t shift = softmax->shift;
  const int32x4_t even = vshlq_r_s32(vsubq_n_s32(scores.val[0], maximum), shift);
  const int32x4_t odd = vshlq_r_s32(vsubq_n_s32(scores.val[1], maximum), shift);
  uint16x8_t t = vqmovunbq_s32(vuninitializedq_u16(), vrmulhq_s32(even, multiplier));
  t = vqmovuntq_s32(t, vrmulhq_s32(odd, multiplier));
  t = vminq_u16(t, vdupq_n_u16(8191));
  const uint16x8_t index = vmovlbq_u8(vreinterpretq_u8_u16(t));
  const int16x8_t octave = vnegq_s16(vreinterpretq_s16_u16(vshrq_n_u16(t, 8)));
  return vshlq_u16(vldrhq_gather_shifted_offset_u16(softmax->table, index), octave);
}

int32_t vit_mve_exponentials(const VitSoftmax* softmax, const int32_t* scores, int32_t tokens,
                             int16_t* e) {
  if (tokens >= 16) {
    const VitMveExponentials row = {scores,         e,     softmax->table, -softmax->multiplier,
                                    softmax->shift, tokens};
    return vit_mve_exponential_row(&row);
  }
  const int32_t maximum = largest(scores, tokens);
  const int32x4_t multiplier = vdupq_n_s32(-softmax->multiplier);
  uint32_t total = 0;
  int32_t j = 0;
  for (; j + 8 <= tokens; j += 8) {
    const uint16x8_t v = exponentials(softmax, vld2q_s32(scores + j), maximum, multiplier);
    vstrhq_u16((uint16_t*)e + j, v);
    total = vaddvaq_u16(total, v);
  }
  if (j < tokens) {
    int32_t last[8];
    for (int32_t i = 0; i < 8; ++i) last[i] = j + i < tokens ? scores[j + i] : maximum;
    const uint16x8_t v = exponentials(softmax, vld2q_s32(last), maximum, multiplier);
    const uint32_t left = (uint32_t)(tokens - j);
    const uint16x8_t kept = vpselq_u16(v, vdupq_n_u16(0), vctp16q(left));
    vstrhq_p_u16((uint16_t*)e + j, kept, vctp16q((uint32_t)vit_round_up((int32_t)left, 4)));
    total = vaddvaq_u16(total, kept);
  }
  return (int32_t)total;
}

// ---- context -----------------------------------------------------------------------------------

#define PAIRS 32  // of channels, whose sums are on the stack
#define ROWS 3

// What the sums of a row have in common.
static VitMveDivide division_of(const VitHead* head, int32_t total) {
  const int32_t g = vit_clz32((uint32_t)total) - 9;
  const int32_t m = (int32_t)(head->context_numerator / ((int64_t)total << g));
  return (VitMveDivide){NULL, vit_mul32(-head->value_zero_point, total), g,
                        m,    head->context_zero_point * 65536,          NULL,
                        0};
}

static inline int32x4_t divide(const VitMveDivide* q, int32x4_t sum) {
  const int32x4_t a = vshlq_r_s32(vaddq_n_s32(sum, q->zero), q->shift);
  const int32x4_t v = vrmulhq_s32(a, vdupq_n_s32(q->multiplier));
  const int32x4_t c = vshrq_n_s32(vaddq_n_s32(v, q->bias + 32768), 16);
  return vminq_s32(vmaxq_s32(c, vdupq_n_s32(-128)), vdupq_n_s32(127));
}

// Where channel d of a row of the context goes.
static inline int8_t* place(const VitContext* out, int32_t row, int32_t d) {
  if (out->narrow) return out->narrow + row * out->stride + d;
  return vit_input_row(out->wide, row) + out->column + d;
}

// Channels [d, d + count) of a row: sums [pair][3][2].
static void divide_row(const VitHead* head, const int32_t* sums, int32_t total, int32_t row,
                       int32_t d, int32_t count, const VitContext* out) {
  const VitMveDivide q = division_of(head, total);
  const uint32_t at[4] = {0, 1, 6, 7};
  int8_t* y = place(out, row, d);
  const uint32x4_t offsets = vldrwq_u32(at);
  for (int32_t i = 0; i < count; i += 4, sums += 12) {
    const mve_pred16_t p = vctp32q((uint32_t)(count - i));
    vstrbq_p_s32(y + i, divide(&q, vldrwq_gather_shifted_offset_z_s32(sums, offsets, p)), p);
  }
}

// Four rows of sums of channels [d, d + count).
typedef struct {
  const VitHead* head;
  const int32_t* totals;
  const VitContext* out;
  int32_t row;
  int32_t rows;
  int32_t d;
  int32_t count;
} ContextRows;

static void take_context(int32_t* sums, void* context) {
  const ContextRows* to = (const ContextRows*)context;
  const uint32_t at[4] = {0, 4, 8, 12};
  const uint32x4_t offsets = vldrwq_u32(at);
  for (int32_t r = 0; r < to->rows; ++r, ++sums) {
    VitMveDivide q = division_of(to->head, to->totals[to->row + r]);
    const int32_t whole = to->count & ~3;
    q.sums = sums;
    q.out = place(to->out, to->row + r, to->d);
    q.quads = whole / 4;
    if (whole) vit_mve_divide(&q);
    if (whole < to->count) {
      const mve_pred16_t p = vctp32q((uint32_t)(to->count - whole));
      const int32x4_t sum = vldrwq_gather_shifted_offset_z_s32(sums + 4 * whole, offsets, p);
      vstrbq_p_s32(q.out + whole, divide(&q, sum), p);
    }
  }
}

#define CHANNELS 64  // whose sums are on the stack

static void context_by_fours(const VitHead* head, VitRows e, const int32_t* totals,
                             const int8_t* values, const VitContext* out) {
  for (int32_t row = 0; row < e.rows; row += VIT_MVE_ROWS) {
    const int32_t rows = vit_min32(VIT_MVE_ROWS, e.rows - row);
    for (int32_t d = 0; d < head->value_dim; d += CHANNELS) {
      const int32_t count = vit_min32(CHANNELS, head->value_dim - d);
      ContextRows to = {head, totals, out, row, rows, d, count};
      VitMveGemm product;
      for (int32_t r = 0; r < VIT_MVE_ROWS; ++r) {
        product.rows[r] = (const int8_t*)(e.data + (row + (r < rows ? r : 0)) * e.stride);
      }
      product.first = values + (ptrdiff_t)d * e.stride;
      product.last = product.first + (ptrdiff_t)(vit_even(count) - 2) * e.stride;
      product.stride = e.stride;
      product.steps = head->tokens;
      product.context = &to;
      product.take = take_context;
      vit_mve_weighted4(&product);
    }
  }
}

void vit_mve_context(const VitHead* head, VitRows e, const int32_t* totals, const int8_t* values,
                     const VitContext* out) {
  if (head->tokens <= VIT_MVE_WEIGHTED_TOKENS) {
    context_by_fours(head, e, totals, values, out);
    return;
  }
  int32_t sums[PAIRS * 2 * ROWS];
  for (int32_t row = 0; row < e.rows; row += ROWS) {
    const int32_t rows = vit_min32(ROWS, e.rows - row);
    for (int32_t d = 0; d < head->value_dim; d += 2 * PAIRS) {
      const int32_t count = vit_min32(2 * PAIRS, head->value_dim - d);
      VitMveWeighted product;
      for (int32_t r = 0; r < ROWS; ++r)
        product.e[r] = e.data + (row + (r < rows ? r : 0)) * e.stride;
      product.tokens = head->tokens;
      product.values = values + (ptrdiff_t)d * e.stride;
      product.stride = e.stride;
      product.pairs = vit_even(count) / 2;
      product.out = sums;
      vit_mve_weighted(&product);
      for (int32_t r = 0; r < rows; ++r) {
        divide_row(head, sums + 2 * r, totals[row + r], row + r, d, count, out);
      }
    }
  }
}

#endif  // VIT_USE_MVE
