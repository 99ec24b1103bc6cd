// SPDX-License-Identifier: Apache-2.0
#include "vit_norm.h"

#include "vit_math.h"
#include "vit_norm_dsp.h"
#include "vit_simd.h"

typedef struct {
  int32_t sum;
  int64_t square_sum;
} Sums;

// t[i] = scale * x[i] - offset; n[i] = mulh(t[i], reciprocal).
typedef struct {
  int32_t scale;
  int32_t offset;
  int32_t reciprocal;
} Normalizer;

static Sums sums_int8(const int8_t* x, int32_t d) {
  int32_t sum = 0, square_sum = 0;  // <= 640 * 2^14
  int32_t i = 0;
#if VIT_MATH_DSP
  for (; i + 8 <= d; i += 8) {
    const uint32_t v = vit_load32(x + i), w = vit_load32(x + i + 4);
    const uint32_t a = vit_even_bytes(v), b = vit_odd_bytes(v), c = vit_even_bytes(w),
                   e = vit_odd_bytes(w);
    sum = vit_smlad(a, VIT_ONES, sum);
    square_sum = vit_smlad(a, a, square_sum);
    sum = vit_smlad(b, VIT_ONES, sum);
    square_sum = vit_smlad(b, b, square_sum);
    sum = vit_smlad(c, VIT_ONES, sum);
    square_sum = vit_smlad(c, c, square_sum);
    sum = vit_smlad(e, VIT_ONES, sum);
    square_sum = vit_smlad(e, e, square_sum);
  }
#endif
  for (; i < d; ++i) {
    sum += x[i];
    square_sum += x[i] * x[i];
  }
  return (Sums){sum, square_sum};
}

static Sums sums_int16(const int16_t* x, int32_t d) {
  int32_t sum = 0;
  int64_t square_sum = 0;
  int32_t i = 0;
#if VIT_MATH_DSP
  for (; i + 4 <= d; i += 4) {
    const uint32_t v = vit_load32(x + i), w = vit_load32(x + i + 2);
    sum = vit_smlad(v, VIT_ONES, sum);
    square_sum = vit_smlald(v, v, square_sum);
    sum = vit_smlad(w, VIT_ONES, sum);
    square_sum = vit_smlald(w, w, square_sum);
  }
#endif
  for (; i < d; ++i) {
    sum += x[i];
    square_sum += x[i] * x[i];
  }
  return (Sums){sum, square_sum};
}

// Largest q with q * q <= v; v in [2^30, 2^32), so q has 16 bits.
static uint32_t square_root(uint32_t v) {
  uint32_t q = 0x8000, remainder = v - 0x40000000u;
  for (uint32_t bit = 0x4000; bit; bit >>= 1) {
    // (q + bit)^2 = q^2 + bit * (2q + bit).
    const uint32_t step = (2 * q + bit) * bit;
    if (step <= remainder) {
      remainder -= step;
      q += bit;
    }
  }
  return q;
}

static Normalizer normalizer(const VitNorm* p, Sums s) {
  const int32_t d = p->features;
  int64_t v = d * s.square_sum - (int64_t)s.sum * s.sum + p->epsilon;
  if (v < 1) v = 1;
  const uint32_t high = (uint32_t)((uint64_t)v >> 32), low = (uint32_t)v;
  const int32_t bits = high ? 64 - vit_clz32(high) : 32 - vit_clz32(low);
  // e = floor((bits - 31) / 2), in [-15, 9]: the top bit of v * 2^(-2e) is bit 30 or 31.
  const int32_t e = ((bits + 1) >> 1) - 16;
  const uint32_t scaled = e >= 0 ? (uint32_t)((uint64_t)v >> (2 * e)) : low << (-2 * e);
  Normalizer n;
  n.scale = vit_shl32(d, 9 - e);
  n.offset = vit_shl32(s.sum, 9 - e);
  n.reciprocal = (int32_t)((0xFFFFFFFFu / square_root(scaled)) << 13);
  return n;
}

static inline int32_t normalize(Normalizer n, int32_t x, int32_t gamma, int32_t beta) {
  const int32_t t = vit_sub32(vit_mul32(x, n.scale), n.offset);
  return vit_sat8_shift8(vit_mulh_add(beta, vit_mulh(t, n.reciprocal), gamma));
}

#if VIT_USE_DSP
// Pairs of elements by the assembly, an odd last one, at out[last], here.
#define NORMALIZE(out_type, pairs_function, last)                                          \
  const VitDspNormalize pairs = {                                                          \
      x, out, p->gamma, p->beta, n.scale, vit_sub32(0, n.offset), n.reciprocal, d / 2};    \
  const int32_t end = d & 1 ? normalize(n, x[d - 1], p->gamma[d - 1], p->beta[d - 1]) : 0; \
  pairs_function(&pairs);                                                                  \
  if (d & 1) out[last] = (out_type)end;
#else
#define NORMALIZE(out_type, pairs_function, last)             \
  const int32_t *gamma = p->gamma, *beta = p->beta;           \
  for (int32_t i = 0; i < d; ++i) {                           \
    out[i] = (out_type)normalize(n, x[i], gamma[i], beta[i]); \
  }
#endif

static void int8_to_wide(const VitNorm* p, const int8_t* restrict x, int16_t* restrict out) {
  const int32_t d = p->features;
  const Normalizer n = normalizer(p, sums_int8(x, d));
  NORMALIZE(int16_t, vit_dsp_normalize_8_tile, vit_wide_at(d - 1))
}

static void int16_to_wide(const VitNorm* p, const int16_t* restrict x, int16_t* restrict out) {
  const int32_t d = p->features;
  const Normalizer n = normalizer(p, sums_int16(x, d));
  NORMALIZE(int16_t, vit_dsp_normalize_16_tile, vit_wide_at(d - 1))
}

void vit_norm_rows(const VitNorm* p, const void* x, int32_t bits, VitRows out) {
  for (int32_t r = 0; r < out.rows; ++r) {
    const void* row = vit_stream_row(x, bits, r, p->features);
    int16_t* to = vit_wide_row(out, r);
    if (bits == 16) {
      int16_to_wide(p, (const int16_t*)row, to);
    } else {
      int8_to_wide(p, (const int8_t*)row, to);
    }
  }
  vit_pad_rows(out, p->features);
}

void vit_norm_token(const VitNorm* p, const void* token, int32_t bits, int8_t* out) {
  const int32_t d = p->features;
  if (bits == 16) {
    const int16_t* x = (const int16_t*)token;
    const Normalizer n = normalizer(p, sums_int16(x, d));
    NORMALIZE(int8_t, vit_dsp_normalize_16_bytes, d - 1)
  } else {
    const int8_t* x = (const int8_t*)token;
    const Normalizer n = normalizer(p, sums_int8(x, d));
    NORMALIZE(int8_t, vit_dsp_normalize_8_bytes, d - 1)
  }
}
