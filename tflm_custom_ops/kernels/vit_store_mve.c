// SPDX-License-Identifier: Apache-2.0
// Four channels of a row are one register: VLD4 turns [channel][row] into rows.
#include "vit_store_mve.h"

#include "vit_linear_rows.h"

#if VIT_USE_MVE

#include "vit_math.h"
#include "vit_rescale_mve.h"

#define WHOLE_CHANNELS 96  // of a product, at most

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

// Of four channels from `c` on, those in [begin, end).
static inline mve_pred16_t stored(int32_t c, int32_t begin, int32_t end) {
  const mve_pred16_t some = vctp32q((uint32_t)(end - c));
  return c < begin ? some & ~vctp32q((uint32_t)(begin - c)) : some;
}

// Four channels of up to four rows: `ROW(i, sum + bias, multiplier, predicate)` for each row. All
// in locals: what is stored may alias the rest, for all the compiler knows.
#define EACH_QUAD(ROW)                                                                        \
  const int32_t *biases = to->p->bias, *multipliers = to->p->multiplier;                      \
  const int32_t rows = to->rows, begin = to->n.begin, end = to->n.end;                        \
  for (int32_t c = to->first; c < end; c += 4, sums += 16) {                                  \
    const mve_pred16_t p = stored(c, begin, end);                                             \
    const int32x4x4_t v = vld4q_s32(sums);                                                    \
    const int32x4_t bias = vldrwq_z_s32(biases + c, p), m = vldrwq_z_s32(multipliers + c, p); \
    ROW(0, vaddq_s32(v.val[0], bias), m, p)                                                   \
    if (rows > 1) {                                                                           \
      ROW(1, vaddq_s32(v.val[1], bias), m, p)                                                 \
    }                                                                                         \
    if (rows > 2) {                                                                           \
      ROW(2, vaddq_s32(v.val[2], bias), m, p)                                                 \
    }                                                                                         \
    if (rows > 3) {                                                                           \
      ROW(3, vaddq_s32(v.val[3], bias), m, p)                                                 \
    }                                                                                         \
  }

// Elements from the start of `out` to channel c of row i.
#define AT(i, stride) ((first_row + (i)) * (stride) + c - first_channel)
#define PLACE const int32_t first_row = to->row, first_channel = to->store->first_channel;

static __attribute__((noinline)) void store_int8(int32_t* sums, const VitMveSums* to,
                                                 int32_t stride) {
  PLACE
  const Requant q = requant_of(to->p);
  int8_t* out = (int8_t*)to->store->out;
#define ROW(i, sum, m, p) vstrbq_p_s32(out + AT(i, stride), requantize(&q, sum, m), p);
  EACH_QUAD(ROW)
#undef ROW
}

static __attribute__((noinline)) void store_int16(int32_t* sums, const VitMveSums* to) {
  PLACE
  const Requant q = requant_of(to->p);
  int16_t* out = (int16_t*)to->store->out;
  const int32_t stride = to->store->out_stride;
#define ROW(i, sum, m, p) vstrhq_p_s32(out + AT(i, stride), requantize(&q, sum, m), p);
  EACH_QUAD(ROW)
#undef ROW
}

// [channel][row] becomes [quad][row][4]; returns how many fours of channels there are.
static int32_t turn(int32_t* sums, const VitMveSums* to) {
  const int32_t quads = (to->n.end - to->first + 3) / 4;
  for (int32_t i = 0; i < quads; ++i, sums += 16) {
    const int32x4x4_t v = vld4q_s32(sums);
    vstrwq_s32(sums, v.val[0]);
    vstrwq_s32(sums + 4, v.val[1]);
    vstrwq_s32(sums + 8, v.val[2]);
    vstrwq_s32(sums + 12, v.val[3]);
  }
  return quads;
}

// One row after another: what a result needs fills the registers. The first and the last channels
// of a call need not all be stored.
#define RESIDUAL(in_type, load, some_load, out_type, put, some_put)                           \
  PLACE                                                                                       \
  const Sum r = sum_of(to);                                                                   \
  const int32_t *biases = to->p->bias, *multipliers = to->p->multiplier;                      \
  const int32_t in_stride = to->store->in_stride, stride = to->store->out_stride;             \
  const int32_t begin = to->n.begin, end = to->n.end, first = to->first, rows = to->rows;     \
  const in_type* from = (const in_type*)to->store->in;                                        \
  out_type* out = (out_type*)to->store->out;                                                  \
  turn(sums, to);                                                                             \
  for (int32_t i = 0; i < rows; ++i, sums += 4) {                                             \
    int32_t c = first;                                                                        \
    const int32_t* sum = sums;                                                                \
    const in_type* x = from + AT(i, in_stride);                                               \
    out_type* y = out + AT(i, stride);                                                        \
    if (c == begin) {                                                                         \
      for (; c + 4 <= end; c += 4, sum += 16, x += 4, y += 4) {                               \
        const int32x4_t a = vaddq_s32(vldrwq_s32(sum), vldrwq_s32(biases + c));               \
        put(y, add_residual(&r, a, vldrwq_s32(multipliers + c), load(x)));                    \
      }                                                                                       \
    }                                                                                         \
    for (; c < end; c += 4, sum += 16, x += 4, y += 4) {                                      \
      const mve_pred16_t p = stored(c, begin, end);                                           \
      const int32x4_t a = vaddq_s32(vldrwq_s32(sum), vldrwq_z_s32(biases + c, p));            \
      some_put(y, add_residual(&r, a, vldrwq_z_s32(multipliers + c, p), some_load(x, p)), p); \
    }                                                                                         \
  }

static __attribute__((noinline)) void store_residual_8_8(int32_t* sums, const VitMveSums* to) {
  RESIDUAL(int8_t, vldrbq_s32, vldrbq_z_s32, int8_t, vstrbq_s32, vstrbq_p_s32)
}

static __attribute__((noinline)) void store_residual_16_16(int32_t* sums, const VitMveSums* to) {
  RESIDUAL(int16_t, vldrhq_s32, vldrhq_z_s32, int16_t, vstrhq_s32, vstrhq_p_s32)
}

static __attribute__((noinline)) void store_residual_8_16(int32_t* sums, const VitMveSums* to) {
  RESIDUAL(int8_t, vldrbq_s32, vldrbq_z_s32, int16_t, vstrhq_s32, vstrhq_p_s32)
}

static __attribute__((noinline)) void store_add(int32_t* sums, const VitMveSums* to) {
  PLACE
  int32_t* out = (int32_t*)to->store->out;
  const int32_t stride = to->store->out_stride;
  for (int32_t c = to->first; c < to->n.end; c += 4, sums += 16) {
    const mve_pred16_t p = stored(c, to->n.begin, to->n.end);
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

static __attribute__((noinline)) void store_value(const int32_t* sums, const VitMveSums* to) {
  const VitLinearParams* p = to->p;
  const int32_t c = to->n.begin, stride = to->store->out_stride;
  const VitMveColumns columns = {
      p->bias + c,
      p->multiplier + c,
      p->shift,
      p->out_zero_point,
      p->out_min,
      p->out_max,
      (int8_t*)to->store->out + to->row + (c - to->store->first_channel) * stride,
      stride,
      to->rows,
      0,
      to->n.end - c};
  vit_mve_columns(sums + 4 * (c - to->first), &columns);
}

// Keys, packed in pairs of rows: any store that takes sums [row][channel].
static __attribute__((noinline)) void store_by_rows(int32_t* sums, const VitMveSums* to) {
  int32_t row[2][WHOLE_CHANNELS];
  VitSums turned = {0, 0, to->n.begin, to->n.end - to->n.begin, row[0], WHOLE_CHANNELS};
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

// Requantization of whole fours of channels in assembly; what is left of them for C.
typedef struct {
  VitMveRequant requant;
  int32_t first;  // channel
} Quads;

// None where quads is 0: a call's first channel may not be stored.
static Quads quads_of(const VitMveSums* to) {
  const VitLinearParams* p = to->p;
  const int32_t c = to->first, quads = to->n.begin == c ? (to->n.end - c) / 4 : 0;
  return (Quads){{p->bias + c,
                  p->multiplier + c,
                  p->shift,
                  p->out_zero_point,
                  p->out_min,
                  p->out_max,
                  {NULL},
                  quads},
                 c};
}

static int32_t* after(int32_t* sums, const Quads* quads, VitMveSums* to) {
  const int32_t count = quads->requant.quads;
  if (count) to->first = to->n.begin = quads->first + 4 * count;
  return sums + 16 * count;
}

// Bytes, `stride` from row to row.
static int32_t* store_bytes_quads(int32_t* sums, VitMveSums* to, Quads* quads, int32_t stride) {
  int8_t dummy[WHOLE_CHANNELS];
  if (quads->requant.quads == 0) return sums;
  int8_t* out = (int8_t*)to->store->out + to->row * stride + to->first - to->store->first_channel;
  for (int32_t r = 0; r < VIT_MVE_ROWS; ++r) {
    quads->requant.out[r] = r < to->rows ? out + r * stride : dummy;
  }
  vit_mve_requant(sums, &quads->requant);
  return after(sums, quads, to);
}

static __attribute__((noinline)) void store_bytes(int32_t* sums, VitMveSums* to, int32_t stride) {
  Quads quads = quads_of(to);
  sums = store_bytes_quads(sums, to, &quads, stride);
  if (to->first < to->n.end) store_int8(sums, to, stride);
}

// TFLite's rescaling.
static inline int32x4_t rescale(const Requant* q, int32x4_t sum, int32x4_t multiplier,
                                int32x4_t shift) {
  const int32x4_t v = vit_mve_rescale_channels(sum, multiplier, shift);
  return vminq_s32(vmaxq_s32(vaddq_n_s32(v, q->zero_point), q->low), q->high);
}

static inline __attribute__((always_inline)) void store_rescaled_by(int32_t* sums, VitMveSums* to,
                                                                    int has_16) {
  PLACE
  const Requant q = requant_of(to->p);
  const int32_t *shifts = (const int32_t*)to->store->in, stride = to->store->out_stride;
  int8_t* out = (int8_t*)to->store->out;
#define ROW(i, sum, m, p)                                    \
  const int32x4_t x##i = has_16 ? vshrq_n_s32(sum, 4) : sum; \
  vstrbq_p_s32(out + AT(i, stride), rescale(&q, x##i, m, vldrwq_z_s32(shifts + c, p)), p);
  EACH_QUAD(ROW)
#undef ROW
}

static __attribute__((noinline)) void store_rescaled(int32_t* sums, VitMveSums* to) {
  store_rescaled_by(sums, to, 0);
}

static __attribute__((noinline)) void store_rescaled_16(int32_t* sums, VitMveSums* to) {
  store_rescaled_by(sums, to, 1);
}

// The table's arguments, as bytes, and the table in their place.
static __attribute__((noinline)) void store_lut(int32_t* sums, VitMveSums* to) {
  const VitLinearParams* p = to->p;
  const int32_t stride = 2 * to->store->out_stride, count = to->n.end - to->n.begin;
  uint8_t* out =
      (uint8_t*)to->store->out + to->row * stride + to->n.begin - to->store->first_channel;
  VitLinearParams shifted = *p;
  shifted.out_zero_point = p->out_zero_point + 128;
  shifted.out_min = vit_max32(p->out_min, -128) + 128;
  shifted.out_max = vit_min32(p->out_max, 127) + 128;
  to->p = &shifted;
  store_bytes(sums, to, stride);
  for (int32_t r = 0; r < to->rows; ++r) vit_mve_table(to->store->lut, out + r * stride, count);
}

static __attribute__((noinline)) void store_residual_bytes(int32_t* sums, VitMveSums* to) {
  Quads quads = quads_of(to);
  const VitStore* s = to->store;
  if (quads.requant.quads) {
    const int32_t column = to->first - s->first_channel;
    VitMveResidual residual = {
        quads.requant,    (const int8_t*)s->in + to->row * s->in_stride + column,
        s->in_stride,     s->out_stride,
        s->in_zero_point, s->in_shift,
        s->in_multiplier, to->rows};
    residual.requant.out[0] = (int8_t*)s->out + to->row * s->out_stride + column;
    vit_mve_residual(sums, &residual);
    sums = after(sums, &quads, to);
  }
  if (to->first < to->n.end) store_residual_8_8(sums, to);
}

void vit_mve_store(int32_t* sums, void* context) {
  VitMveSums* to = (VitMveSums*)context;
  const VitStoreFunction f = to->store->function;
  if (f == vit_store_int8) {
    store_bytes(sums, to, to->store->out_stride);
  } else if (f == vit_store_wide) {
    store_bytes(sums, to, 2 * to->store->out_stride);
  } else if (f == vit_store_lut) {
    store_lut(sums, to);
  } else if (f == vit_store_int16) {
    store_int16(sums, to);
  } else if (f == vit_store_residual_8_8) {
    store_residual_bytes(sums, to);
  } else if (f == vit_store_residual_16_16) {
    store_residual_16_16(sums, to);
  } else if (f == vit_store_residual_8_16) {
    store_residual_8_16(sums, to);
  } else if (f == vit_store_value) {
    store_value(sums, to);
  } else if (f == vit_mve_store_rescaled) {
    if (to->p->layout) {
      store_rescaled_16(sums, to);
    } else {
      store_rescaled(sums, to);
    }
  } else if (f == vit_store_add) {
    store_add(sums, to);
  } else {
    store_by_rows(sums, to);
  }
}

// Inputs of a layer are bytes, in rows of twice as many.
void vit_store_wide(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  VitStore bytes = *store;
  bytes.out_stride = 2 * store->out_stride;
  vit_store_int8(&bytes, p, sums);
}

// Only a name: the sums of a product are stored by vit_mve_store.
void vit_mve_store_rescaled(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  (void)store;
  (void)p;
  (void)sums;
}

// Only a name: no layer with a table has sums of parts of its inputs.
void vit_store_lut(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  (void)store;
  (void)p;
  (void)sums;
}

#endif  // VIT_USE_MVE
