// SPDX-License-Identifier: Apache-2.0
// Fixed-point arithmetic of docs/operators.md, Rounding. With the DSP extension each function is
// one or two instructions; the portable forms give the same bits on any core.
//
// Sums that the converter proves to fit int32 are still computed modulo 2^32 here, so that a
// malformed file gives a wrong result and never undefined behaviour.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_MATH_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_MATH_H_

#include <stdint.h>

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
#define VIT_MATH_DSP 1
#else
#define VIT_MATH_DSP 0
#endif

static inline int32_t vit_add32(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a + (uint32_t)b);
}

static inline int32_t vit_sub32(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a - (uint32_t)b);
}

static inline int32_t vit_mul32(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a * (uint32_t)b);
}

static inline int32_t vit_shl32(int32_t a, int32_t shift) {
  return (int32_t)((uint32_t)a << shift);
}

static inline int32_t vit_min32(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t vit_max32(int32_t a, int32_t b) { return a > b ? a : b; }

static inline int32_t vit_clamp(int32_t v, int32_t low, int32_t high) {
  return vit_min32(vit_max32(v, low), high);
}

// (a * m + 2^31) >> 32.
static inline int32_t vit_mulh(int32_t a, int32_t m) {
#if VIT_MATH_DSP
  int32_t r;
  __asm__("smmulr %0, %1, %2" : "=r"(r) : "r"(a), "r"(m));
  return r;
#else
  return (int32_t)(((int64_t)a * m + INT64_C(0x80000000)) >> 32);
#endif
}

// base + vit_mulh(a, m), modulo 2^32.
static inline int32_t vit_mulh_add(int32_t base, int32_t a, int32_t m) {
#if VIT_MATH_DSP
  int32_t r;
  __asm__("smmlar %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(m), "r"(base));
  return r;
#else
  return vit_add32(base, vit_mulh(a, m));
#endif
}

// base + ((a * m + b * n + 2^31) >> 32), modulo 2^32: two products, rounded once.
static inline int32_t vit_mulh2_add(int32_t base, int32_t a, int32_t m, int32_t b, int32_t n) {
  const uint64_t sum = (uint64_t)((int64_t)a * m) + (uint64_t)((int64_t)b * n) + 0x80000000u +
                       ((uint64_t)(uint32_t)base << 32);
  return (int32_t)(uint32_t)(sum >> 32);
}

// clamp(v, -128, 127).
static inline int32_t vit_sat8(int32_t v) {
#if VIT_MATH_DSP
  int32_t r;
  __asm__("ssat %0, #8, %1" : "=r"(r) : "r"(v));
  return r;
#else
  return vit_clamp(v, -128, 127);
#endif
}

// clamp(v >> 8, -128, 127).
static inline int32_t vit_sat8_shift8(int32_t v) {
#if VIT_MATH_DSP
  int32_t r;
  __asm__("ssat %0, #8, %1, asr #8" : "=r"(r) : "r"(v));
  return r;
#else
  return vit_clamp(v >> 8, -128, 127);
#endif
}

// clamp(v, 0, 8191): a table argument of the softmax.
static inline int32_t vit_usat13(int32_t v) {
#if VIT_MATH_DSP
  int32_t r;
  __asm__("usat %0, #13, %1" : "=r"(r) : "r"(v));
  return r;
#else
  return vit_clamp(v, 0, 8191);
#endif
}

// Leading zeros of v > 0.
static inline int32_t vit_clz32(uint32_t v) {
#if defined(__GNUC__)
  return (int32_t)__builtin_clz(v);
#else
  int32_t n = 0;
  while (!(v & 0x80000000u)) {
    v <<= 1;
    ++n;
  }
  return n;
#endif
}

static inline int32_t vit_round_up(int32_t v, int32_t multiple) {
  return (v + multiple - 1) / multiple * multiple;
}

#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_MATH_H_
