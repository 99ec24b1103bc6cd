// SPDX-License-Identifier: Apache-2.0
// A table of bytes on cores with Helium.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_LOOKUP_MVE_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_LOOKUP_MVE_H_

#include "vit_gemm_mve_layout.h"

#if VIT_USE_MVE

#include <arm_mve.h>
#include <stddef.h>
#include <stdint.h>

// y[i] = lut[x[i] + 128] of whole sixteens of `count` values; how many. y may equal x.
static inline size_t vit_mve_lookup(const int8_t* lut, const int8_t* x, int8_t* y, size_t count) {
  const uint8x16_t zero = vdupq_n_u8(128);
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const uint8x16_t index = veorq_u8(vldrbq_u8((const uint8_t*)x + i), zero);
    vstrbq_s8(y + i, vldrbq_gather_offset_s8(lut, index));
  }
  return i;
}

#endif  // VIT_USE_MVE
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_LOOKUP_MVE_H_
