// SPDX-License-Identifier: Apache-2.0
// Weights of 4 bits, four channels in an int16, on cores without the DSP extension: the shape of
// vit_gemm_reference.c, with other weights.
#include "vit_gemm.h"
#include "vit_weights.h"

#if !VIT_USE_DSP && !VIT_USE_MVE

// 16 times the number in the bits that a shift to the left brings to the top.
#define WEIGHT(w, up) ((int16_t)(((int16_t)((uint16_t)(w) << (up)) >> 12) * 16))

// Four rows by two channels of a quad, in bits 0 .. 7 (up = 8) or 8 .. 15 (up = 0).
static void half_by_4(const int16_t* const a[VIT_GEMM_ROWS], const int16_t* restrict w, int32_t up,
                      int32_t k_even, int32_t* restrict sums) {
  const int16_t* restrict a0 = a[0], * restrict a1 = a[1], * restrict a2 = a[2], * restrict a3 = a[3];
  int32_t s00 = 0, s01 = 0, s10 = 0, s11 = 0, s20 = 0, s21 = 0, s30 = 0, s31 = 0;
  for (int32_t k = 0; k < k_even; ++k) {
    const int16_t low = WEIGHT(w[k], up + 4);
    const int16_t high = WEIGHT(w[k], up);
    s00 += a0[k] * low;
    s01 += a0[k] * high;
    s10 += a1[k] * low;
    s11 += a1[k] * high;
    s20 += a2[k] * low;
    s21 += a2[k] * high;
    s30 += a3[k] * low;
    s31 += a3[k] * high;
  }
  const int32_t found[2 * VIT_GEMM_ROWS] = {s00, s01, s10, s11, s20, s21, s30, s31};
  for (int32_t i = 0; i < 2 * VIT_GEMM_ROWS; ++i) sums[i] = found[i];
}

void vit_quads4(const int16_t* a, int32_t a_stride, int32_t rows, const int16_t* w,
                int32_t w_stride, int32_t k_even, int32_t channels, int32_t* acc,
                int32_t acc_stride) {
  for (int32_t row = 0; row < rows; row += VIT_GEMM_ROWS) {
    // Rows past the end are computed as copies of the first one, and not stored.
    const int32_t count = rows - row < VIT_GEMM_ROWS ? rows - row : VIT_GEMM_ROWS;
    const int16_t* from[VIT_GEMM_ROWS];
    for (int32_t r = 0; r < VIT_GEMM_ROWS; ++r) {
      from[r] = a + (row + (r < count ? r : 0)) * a_stride;
    }
    int32_t* out = acc + row * acc_stride;
    for (int32_t c = 0; c < channels; c += 2) {
      int32_t sums[2 * VIT_GEMM_ROWS];
      half_by_4(from, w + (c / 4) * w_stride, c & 2 ? 0 : 8, k_even, sums);
      for (int32_t r = 0; r < count; ++r) {
        out[r * acc_stride + c] = sums[2 * r];
        out[r * acc_stride + c + 1] = sums[2 * r + 1];
      }
    }
  }
}

#endif  // !VIT_USE_DSP && !VIT_USE_MVE
