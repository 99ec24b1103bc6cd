// SPDX-License-Identifier: Apache-2.0
// Sums and normalization of one token on cores with Helium (vit_norm_math.h has the definition).
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_NORM_MVE_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_NORM_MVE_H_

#include "vit_gemm_mve_layout.h"

#if VIT_USE_MVE

#include <arm_mve.h>
#include <stdint.h>

// Sum and sum of squares.
void vit_mve_sums8(const int8_t* x, int32_t d, int32_t sums[2]);

// Eights of elements of a token; the assembly (vit_norm_mve.S) reads the fields by their offsets.
typedef struct {
  const int8_t* x;
  int8_t* out;
  const int32_t* gamma;
  const int32_t* beta;
  int32_t scale;
  int32_t offset;  // negated
  int32_t reciprocal;
  int32_t eights;
} VitMveNormalize;

void vit_mve_normalize8(const VitMveNormalize* eights);

static inline void vit_mve_sums_int16(const int16_t* x, int32_t d, int32_t* sum,
                                      int64_t* square_sum) {
  for (int32_t left = d; left > 0; left -= 8, x += 8) {
    const int16x8_t v = vldrhq_z_s16(x, vctp16q((uint32_t)left));
    *sum = vaddvaq_s16(*sum, v);
    *square_sum = vmlaldavaq_s16(*square_sum, v, v);
  }
}

// What the elements of a token have in common, as VitNormalizer.
typedef struct {
  int32x4_t scale;
  int32_t offset;  // negated
  int32x4_t reciprocal;
} VitMveNormalizer;

// Four elements, in [-128, 127].
static inline int32x4_t vit_mve_normalize(VitMveNormalizer n, int32x4_t x, int32x4_t gamma,
                                          int32x4_t beta) {
  const int32x4_t t = vmlasq_n_s32(x, n.scale, n.offset);
  const int32x4_t v = vrmulhq_s32(vrmulhq_s32(t, n.reciprocal), gamma);
  const int32x4_t y = vshrq_n_s32(vaddq_s32(v, beta), 8);
  return vminq_s32(vmaxq_s32(y, vdupq_n_s32(-128)), vdupq_n_s32(127));
}

// Largest q with q * q <= v, v in [2^30, 2^32): two steps of Newton's method from a line that is
// within 5 % of the root.
static inline uint32_t vit_mve_square_root(uint32_t v) {
  uint32_t q = 23593 + (v >> 17) + (v >> 19);
  q = (q + v / q) >> 1;
  q = (q + v / q) >> 1;
  if (q > 0xFFFF) q = 0xFFFF;
  while (q * q > v) --q;
  while (v - q * q > 2 * q) ++q;
  return q;
}

// A whole token; `load` and `put` are those of the types of x and out, `some_load` and `some_put`
// predicated.
#define VIT_MVE_NORMALIZE(load, put, some_load, some_put)                                   \
  const VitMveNormalizer parts = {vdupq_n_s32(n.scale), vit_sub32(0, n.offset),             \
                                  vdupq_n_s32(n.reciprocal)};                               \
  const int32_t *gamma = p->gamma, *beta = p->beta;                                         \
  int32_t i = 0;                                                                            \
  if (sizeof *x == 1 && d >= 8) {                                                           \
    const VitMveNormalize eights = {(const int8_t*)x, out,          gamma,        beta,     \
                                    n.scale,          parts.offset, n.reciprocal, d / 8};   \
    vit_mve_normalize8(&eights);                                                            \
    i = d & ~7;                                                                             \
  }                                                                                         \
  for (; i + 4 <= d; i += 4) {                                                              \
    const int32x4_t y =                                                                     \
        vit_mve_normalize(parts, load(x + i), vldrwq_s32(gamma + i), vldrwq_s32(beta + i)); \
    put(out + i, y);                                                                        \
  }                                                                                         \
  if (i < d) {                                                                              \
    const mve_pred16_t some = vctp32q((uint32_t)(d - i));                                   \
    const int32x4_t g = vldrwq_z_s32(gamma + i, some), b = vldrwq_z_s32(beta + i, some);    \
    some_put(out + i, vit_mve_normalize(parts, some_load(x + i, some), g, b), some);        \
  }

#endif  // VIT_USE_MVE
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_NORM_MVE_H_
