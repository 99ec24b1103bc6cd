// SPDX-License-Identifier: Apache-2.0
// Instructions of the DSP extension that C has no expression for. Only where VIT_MATH_DSP is 1.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_SIMD_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_SIMD_H_

#include <stdint.h>

#include "vit_math.h"

#if VIT_MATH_DSP

#define VIT_ONES 0x00010001u  // a pair of int16 ones

// acc + a.low * b.low + a.high * b.high, on pairs of int16.
static inline int32_t vit_smlad(uint32_t a, uint32_t b, int32_t acc) {
  int32_t r;
  __asm__("smlad %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
  return r;
}

// The same with a 64-bit accumulator.
static inline int64_t vit_smlald(uint32_t a, uint32_t b, int64_t acc) {
  __asm__("smlald %Q0, %R0, %1, %2" : "+r"(acc) : "r"(a), "r"(b));
  return acc;
}

// Bytes 0 and 2, sign-extended to a pair of int16.
static inline uint32_t vit_even_bytes(uint32_t v) {
  uint32_t r;
  __asm__("sxtb16 %0, %1" : "=r"(r) : "r"(v));
  return r;
}

// Bytes 1 and 3, sign-extended to a pair of int16.
static inline uint32_t vit_odd_bytes(uint32_t v) {
  uint32_t r;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(v));
  return r;
}

// Word access at any address: one instruction on these cores, also in a freestanding build.
static inline uint32_t vit_load32(const void* p) {
  uint32_t v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

static inline void vit_store32(void* p, uint32_t v) { __builtin_memcpy(p, &v, sizeof v); }

#endif  // VIT_MATH_DSP
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_SIMD_H_
