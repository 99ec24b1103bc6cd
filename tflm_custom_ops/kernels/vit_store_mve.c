// SPDX-License-Identifier: Apache-2.0
// Four channels of a row are one register: VLD4 turns [channel][row] into rows.
#include "vit_store_mve.h"

#include "vit_linear_rows.h"

#if VIT_USE_MVE

#include "vit_math.h"

// A layer's requantization, less what depends on the channel.
typedef struct {
  int32_t shift;
  int32_t zero_point;
  int32x4_t low;
  int32x4_t high;
} Requant;

static inline Requant requant_of(const VitLinearParams* p) {
  return (Requant){p->shift, p->out_zero_point, vdupq_n_s32(p->out_min), vdupq_n_s32(p->out_max)};
}

// VRMULH is vit_mulh.
static inline int32x4_t requantize(const Requant* q, int32x4_t sum, int32x4_t multiplier) {
  const int32x4_t v = vrmulhq_s32(vshlq_r_s32(sum, q->shift), multiplier);
  return vminq_s32(vmaxq_s32(vaddq_n_s32(v, q->zero_point), q->low), q->high);
}

// The residual forms: two products, rounded once.
typedef struct {
  Requant q;
  int32_t zero_point;
  int32_t shift;
  int32x4_t multiplier;
} Sum;

static inline Sum sum_of(const VitMveSums* to) {
  const VitStore* s = to->store;
  return (Sum){requant_of(to->p), s->in_zero_point, s->in_shift, vdupq_n_s32(s->in_multiplier)};
}

// (a m + b n + 2^31) >> 32: rounding a m alone leaves lo(a m) + 2^31, which with lo(b n) may carry.
static inline int32x4_t add_residual(const Sum* r, int32x4_t sum, int32x4_t m, int32x4_t in) {
  const int32x4_t a = vshlq_r_s32(sum, r->q.shift), n = r->multiplier;
  const int32x4_t b = vshlq_r_s32(vsubq_n_s32(in, r->zero_point), r->shift);
  const uint32x4_t low = vreinterpretq_u32_s32(vaddq_n_s32(vmulq_s32(a, m), INT32_MIN));
  const uint32x4_t half = vhaddq_u32(low, vreinterpretq_u32_s32(vmulq_s32(b, n)));
  const int32x4_t carry = vreinterpretq_s32_u32(vshrq_n_u32(half, 31));
  const int32x4_t high = vaddq_s32(vrmulhq_s32(a, m), vmulhq_s32(b, n));
  const int32x4_t v = vaddq_n_s32(vaddq_s32(high, carry), r->q.zero_point);
  return vminq_s32(vmaxq_s32(v, r->q.low), r->q.high);
}

// Of four channels from `c` on, those that are stored.
static inline mve_pred16_t stored(const VitMveSums* to, int32_t c) {
  const mve_pred16_t end = vctp32q((uint32_t)(to->n.end - c));
  return c < to->n.begin ? end & ~vctp32q((uint32_t)(to->n.begin - c)) : end;
}

// Four channels of up to four rows: `ROW(i, sums + bias, multiplier, predicate)` for each row.
#define EACH_QUAD(ROW)                                             \
  for (int32_t c = to->first; c < to->n.end; c += 4, sums += 16) { \
    const mve_pred16_t p = stored(to, c);                          \
    const int32x4x4_t v = vld4q_s32(sums);                         \
    const int32x4_t bias = vldrwq_z_s32(to->p->bias + c, p);       \
    const int32x4_t m = vldrwq_z_s32(to->p->multiplier + c, p);    \
    ROW(0, vaddq_s32(v.val[0], bias), m, p)                        \
    if (to->rows > 1) {                                            \
      ROW(1, vaddq_s32(v.val[1], bias), m, p)                      \
    }                                                              \
    if (to->rows > 2) {                                            \
      ROW(2, vaddq_s32(v.val[2], bias), m, p)                      \
    }                                                              \
    if (to->rows > 3) {                                            \
      ROW(3, vaddq_s32(v.val[3], bias), m, p)                      \
    }                                                              \
  }

// Elements from the start of `out` to channel c of row i.
#define AT(i, stride) ((to->row + (i)) * (stride) + c - to->store->first_channel)

static void store_int8(int32_t* sums, const VitMveSums* to) {
  const Requant q = requant_of(to->p);
  int8_t* out = (int8_t*)to->store->out;
  const int32_t stride = to->store->out_stride;
#define ROW(i, sum, m, p) vstrbq_p_s32(out + AT(i, stride), requantize(&q, sum, m), p);
  EACH_QUAD(ROW)
#undef ROW
}

static void store_int16(int32_t* sums, const VitMveSums* to) {
  const Requant q = requant_of(to->p);
  int16_t* out = (int16_t*)to->store->out;
  const int32_t stride = to->store->out_stride;
#define ROW(i, sum, m, p) vstrhq_p_s32(out + AT(i, stride), requantize(&q, sum, m), p);
  EACH_QUAD(ROW)
#undef ROW
}

static void store_lut(int32_t* sums, const VitMveSums* to) {
  Requant q = requant_of(to->p);
  q.low = vmaxq_s32(q.low, vdupq_n_s32(-128));
  q.high = vminq_s32(q.high, vdupq_n_s32(127));
  // Offsets of a gather are unsigned.
  q.low = vaddq_n_s32(q.low, 128);
  q.high = vaddq_n_s32(q.high, 128);
  q.zero_point += 128;
  int16_t* out = (int16_t*)to->store->out;
  const int8_t* lut = to->store->lut;
  const int32_t stride = to->store->out_stride;
#define ROW(i, sum, m, p)                                                    \
  const uint32x4_t index##i = vreinterpretq_u32_s32(requantize(&q, sum, m)); \
  vstrhq_p_s32(out + AT(i, stride), vldrbq_gather_offset_s32(lut, index##i), p);
  EACH_QUAD(ROW)
#undef ROW
}

#define RESIDUAL(in_type, out_type)                  \
  const Sum r = sum_of(to);                          \
  const in_type* in = (const in_type*)to->store->in; \
  out_type* out = (out_type*)to->store->out;         \
  const int32_t in_stride = to->store->in_stride, stride = to->store->out_stride;
#define RESIDUAL_ROW(load, put, i, sum, m, p) \
  put(out + AT(i, stride), add_residual(&r, sum, m, load(in + AT(i, in_stride), p)), p);

static void store_residual_8_8(int32_t* sums, const VitMveSums* to) {
  RESIDUAL(int8_t, int8_t)
#define ROW(i, sum, m, p) RESIDUAL_ROW(vldrbq_z_s32, vstrbq_p_s32, i, sum, m, p)
  EACH_QUAD(ROW)
#undef ROW
}

static void store_residual_16_16(int32_t* sums, const VitMveSums* to) {
  RESIDUAL(int16_t, int16_t)
#define ROW(i, sum, m, p) RESIDUAL_ROW(vldrhq_z_s32, vstrhq_p_s32, i, sum, m, p)
  EACH_QUAD(ROW)
#undef ROW
}

static void store_residual_8_16(int32_t* sums, const VitMveSums* to) {
  RESIDUAL(int8_t, int16_t)
#define ROW(i, sum, m, p) RESIDUAL_ROW(vldrbq_z_s32, vstrhq_p_s32, i, sum, m, p)
  EACH_QUAD(ROW)
#undef ROW
}

static void store_add(int32_t* sums, const VitMveSums* to) {
  int32_t* out = (int32_t*)to->store->out;
  const int32_t stride = to->store->out_stride;
  for (int32_t c = to->first; c < to->n.end; c += 4, sums += 16) {
    const mve_pred16_t p = stored(to, c);
    const int32x4x4_t v = vld4q_s32(sums);
#define ADD(i)                                                   \
  if (to->rows > i) {                                            \
    int32_t* y = out + AT(i, stride);                            \
    vstrwq_p_s32(y, vaddq_s32(vldrwq_z_s32(y, p), v.val[i]), p); \
  }
    ADD(0) ADD(1) ADD(2) ADD(3)
#undef ADD
  }
}

// Channels are rows of the output: one register is one channel of four rows.
static void store_value(const int32_t* sums, const VitMveSums* to) {
  const VitLinearParams* p = to->p;
  const Requant q = requant_of(p);
  const mve_pred16_t rows = vctp32q((uint32_t)to->rows);
  const int32_t stride = to->store->out_stride;
  int8_t* out = (int8_t*)to->store->out + to->row;
  for (int32_t c = to->n.begin; c < to->n.end; ++c) {
    const int32x4_t sum = vaddq_n_s32(vldrwq_s32(sums + 4 * (c - to->first)), p->bias[c]);
    int8_t* y = out + (c - to->store->first_channel) * stride;
    vstrbq_p_s32(y, requantize(&q, sum, vdupq_n_s32(p->multiplier[c])), rows);
  }
}

// Keys, packed in pairs of rows: any store that takes sums [row][channel].
static __attribute__((noinline)) void store_by_rows(int32_t* sums, const VitMveSums* to) {
  int32_t row[2][96];
  VitSums turned = {0, 0, to->n.begin, to->n.end - to->n.begin, row[0], 96};
  for (int32_t r = 0; r < to->rows; r += 2) {
    for (int32_t c = to->n.begin; c < to->n.end; ++c) {
      row[0][c - to->n.begin] = sums[4 * (c - to->first) + r];
      row[1][c - to->n.begin] = sums[4 * (c - to->first) + r + 1];
    }
    turned.row = to->row + r;
    turned.rows = vit_min32(2, to->rows - r);
    to->store->function(to->store, to->p, &turned);
  }
}

// Whole fours of channels of int8 rows in assembly; what is left of them for C.
static __attribute__((noinline)) int32_t* store_int8_quads(int32_t* sums, VitMveSums* to) {
  int8_t dummy[96];
  const int32_t quads = (to->n.end - to->first) / 4;
  if (to->n.begin != to->first || quads == 0) return sums;
  const VitLinearParams* p = to->p;
  const int32_t c = to->first, stride = to->store->out_stride;
  VitMveRequant requant = {p->bias + c,
                           p->multiplier + c,
                           p->shift,
                           p->out_zero_point,
                           p->out_min,
                           p->out_max,
                           {dummy, dummy, dummy, dummy},
                           quads};
  for (int32_t r = 0; r < to->rows; ++r) requant.out[r] = (int8_t*)to->store->out + AT(r, stride);
  vit_mve_requant(sums, &requant);
  to->first = to->n.begin = c + 4 * quads;
  return sums + 16 * quads;
}

void vit_mve_store(int32_t* sums, void* context) {
  VitMveSums* to = (VitMveSums*)context;
  const VitStoreFunction f = to->store->function;
  if (f == vit_store_int8) {
    sums = store_int8_quads(sums, to);
    if (to->first < to->n.end) store_int8(sums, to);
  } else if (f == vit_store_lut) {
    store_lut(sums, to);
  } else if (f == vit_store_int16 || f == vit_store_wide) {
    store_int16(sums, to);
  } else if (f == vit_store_residual_8_8) {
    store_residual_8_8(sums, to);
  } else if (f == vit_store_residual_16_16) {
    store_residual_16_16(sums, to);
  } else if (f == vit_store_residual_8_16) {
    store_residual_8_16(sums, to);
  } else if (f == vit_store_value) {
    store_value(sums, to);
  } else if (f == vit_store_add) {
    store_add(sums, to);
  } else {
    store_by_rows(sums, to);
  }
}

#endif  // VIT_USE_MVE
