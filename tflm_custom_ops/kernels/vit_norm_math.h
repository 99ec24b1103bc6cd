// SPDX-License-Identifier: Apache-2.0
// Integer statistics of one token and what follows from them: LayerNorm and RMSNorm
// (docs/operators.md).
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_NORM_MATH_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_NORM_MATH_H_

#include "vit_math.h"
#include "vit_norm_mve.h"
#include "vit_simd.h"
#include "vit_types.h"

typedef struct {
  int32_t sum;
  int64_t square_sum;
} VitNormSums;

// t[i] = scale * x[i] - offset; n[i] = mulh(t[i], reciprocal).
typedef struct {
  int32_t scale;
  int32_t offset;
  int32_t reciprocal;
} VitNormalizer;

static VitNormSums vit_norm_sums_int8(const int8_t* x, int32_t d) {
  int32_t sum = 0, square_sum = 0;  // <= 2048 * 2^14
  int32_t i = 0;
#if VIT_USE_MVE
  int32_t sums[2];
  vit_mve_sums8(x, d, sums);
  sum = sums[0];
  square_sum = sums[1];
  i = d;
#elif VIT_MATH_DSP
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
  return (VitNormSums){sum, square_sum};
}

static VitNormSums vit_norm_sums_int16(const int16_t* x, int32_t d) {
  int32_t sum = 0;
  int64_t square_sum = 0;
  int32_t i = 0;
#if VIT_USE_MVE
  vit_mve_sums_int16(x, d, &sum, &square_sum);
  i = d;
#elif VIT_MATH_DSP
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
  return (VitNormSums){sum, square_sum};
}

// The sums that make LayerNorm's statistics those of RMSNorm: it subtracts S1 / D, so that
// S1' = D z subtracts the zero point z, and D S2' - S1'^2 = D sum (x - z)^2 gives
// S2' = S2 - 2 z S1 + 2 D z^2.
static inline VitNormSums vit_norm_sums_of(const VitNorm* p, VitNormSums s, int32_t zero_point) {
  if (p->kind != kVitNormKindRms) return s;
  const int64_t z = zero_point;
  const int32_t d = p->features;
  return (VitNormSums){d * zero_point, s.square_sum - 2 * z * s.sum + 2 * d * z * z};
}

// Largest q with q * q <= v; v in [2^30, 2^32), so q has 16 bits.
static uint32_t vit_norm_square_root(uint32_t v) {
#if VIT_USE_MVE
  return vit_mve_square_root(v);
#endif
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

static VitNormalizer vit_normalizer(const VitNorm* p, VitNormSums s) {
  const int32_t d = p->features;
  int64_t v = d * s.square_sum - (int64_t)s.sum * s.sum + p->epsilon;
  if (v < 1) v = 1;
  const uint32_t high = (uint32_t)((uint64_t)v >> 32), low = (uint32_t)v;
  const int32_t bits = high ? 64 - vit_clz32(high) : 32 - vit_clz32(low);
  // e = floor((bits - 31) / 2), in [-15, 9]: the top bit of v * 2^(-2e) is bit 30 or 31.
  const int32_t e = ((bits + 1) >> 1) - 16;
  const uint32_t scaled = e >= 0 ? (uint32_t)((uint64_t)v >> (2 * e)) : low << (-2 * e);
  VitNormalizer n;
  n.scale = vit_shl32(d, 9 - e);
  n.offset = vit_shl32(s.sum, 9 - e);
  n.reciprocal = (int32_t)((0xFFFFFFFFu / vit_norm_square_root(scaled)) << 13);
  return n;
}

static inline int32_t vit_normalize(VitNormalizer n, int32_t x, int32_t gamma, int32_t beta) {
  const int32_t t = vit_sub32(vit_mul32(x, n.scale), n.offset);
  return vit_sat8_shift8(vit_mulh_add(beta, vit_mulh(t, n.reciprocal), gamma));
}

#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_NORM_MATH_H_
