// SPDX-License-Identifier: Apache-2.0
// Portable matrix cores, written so that a vectorising compiler turns each inner loop into
// 16-bit multiply-add instructions (pmaddwd, vpdpwssd). The low and the high channel are separated
// before the multiplication, hence no block of sums matters here.
#include "vit_gemm.h"

#if !VIT_USE_DSP

#define LOW(w) ((int16_t)(int8_t)(w))
#define HIGH(w, low) ((int16_t)((int16_t)((w) - (low)) >> 8))

// Four rows by one packed pair of channels.
static inline void pair_by_4(const int16_t* restrict a0, const int16_t* restrict a1,
                             const int16_t* restrict a2, const int16_t* restrict a3,
                             const int16_t* restrict w, int32_t k_even, int32_t* restrict sums) {
  int32_t s00 = 0, s01 = 0, s10 = 0, s11 = 0, s20 = 0, s21 = 0, s30 = 0, s31 = 0;
  for (int32_t k = 0; k < k_even; ++k) {
    const int16_t low = LOW(w[k]);
    const int16_t high = HIGH(w[k], low);
    s00 += a0[k] * low;
    s01 += a0[k] * high;
    s10 += a1[k] * low;
    s11 += a1[k] * high;
    s20 += a2[k] * low;
    s21 += a2[k] * high;
    s30 += a3[k] * low;
    s31 += a3[k] * high;
  }
  sums[0] = s00;
  sums[1] = s01;
  sums[2] = s10;
  sums[3] = s11;
  sums[4] = s20;
  sums[5] = s21;
  sums[6] = s30;
  sums[7] = s31;
}

void vit_gemm_rows(const int16_t* a, int32_t a_stride, int32_t rows, const int16_t* w,
                   int32_t w_stride, int32_t k_even, int32_t channels, int32_t* acc,
                   int32_t acc_stride) {
  for (int32_t row = 0; row < rows; row += VIT_GEMM_ROWS) {
    // Rows past the end are computed as copies of the first one, and not stored.
    const int32_t count = rows - row < VIT_GEMM_ROWS ? rows - row : VIT_GEMM_ROWS;
    const int16_t* a0 = a + row * a_stride;
    const int16_t* a1 = count > 1 ? a0 + a_stride : a0;
    const int16_t* a2 = count > 2 ? a1 + a_stride : a0;
    const int16_t* a3 = count > 3 ? a2 + a_stride : a0;
    int32_t* out = acc + row * acc_stride;
    for (int32_t c = 0; c < channels; c += 2) {
      int32_t sums[2 * VIT_GEMM_ROWS];
      pair_by_4(a0, a1, a2, a3, w + (c / 2) * w_stride, k_even, sums);
      for (int32_t r = 0; r < count; ++r) {
        out[r * acc_stride + c] = sums[2 * r];
        out[r * acc_stride + c + 1] = sums[2 * r + 1];
      }
    }
  }
}

void vit_gemm_wide(const int16_t* a, int32_t a_stride, int32_t rows, const int16_t* b,
                   int32_t b_stride, int32_t k_even, int32_t channels, int32_t* acc,
                   int32_t acc_stride) {
  for (int32_t row = 0; row < rows; ++row) {
    const int16_t* restrict ar = a + row * a_stride;
    for (int32_t c = 0; c < channels; c += 2) {
      const int16_t* restrict b0 = b + c * b_stride;
      const int16_t* restrict b1 = b0 + b_stride;
      int32_t s0 = 0, s1 = 0;
      for (int32_t k = 0; k < k_even; ++k) {
        s0 += ar[k] * b0[k];
        s1 += ar[k] * b1[k];
      }
      acc[row * acc_stride + c] += s0;
      acc[row * acc_stride + c + 1] += s1;
    }
  }
}

#endif  // !VIT_USE_DSP
