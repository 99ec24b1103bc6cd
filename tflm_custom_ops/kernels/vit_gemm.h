// SPDX-License-Identifier: Apache-2.0
// The two matrix cores of the portable kernels (vit_gemm_reference.c). Cores with the DSP
// extension have their own, with other operand layouts, behind vit_linear_rows and
// vit_softmax.h (vit_gemm_dsp.h). docs/operators.md, Linear, defines the packed layout.
//
// Common to both cores:
//  * `rows` >= 1 activation rows. The memory of `a` and of `acc` exists for `rows` rounded up to a
//    multiple of VIT_ROW_GROUP; what the extra rows hold is undefined, before and after. A core
//    may read and write them, so it can always work on whole groups.
//  * Strides are in elements and even; `a`, `w` and `acc` are 4-byte aligned, so each row is.
//  * `k_even` is even and >= 2; where the true K is odd the last element of each row is 0.
//  * `channels` is even and >= 2; an odd N has one more channel whose weights are 0.
//  * Sums are exact: |sum| < 2^31 for every file that vit_parse accepts.
//  * A core uses at most VIT_GEMM_STACK_BYTES of stack, no heap and no state.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_H_

#include <stddef.h>
#include <stdint.h>

#include "vit_gemm_dsp_layout.h"

#ifdef __cplusplus
extern "C" {
#endif

// 1 where the DSP kernels are compiled instead; VIT_NO_DSP forces the portable ones.
#define VIT_USE_DSP VIT_DSP_ASM

#define VIT_ROW_GROUP 2            // rows that a core computes together
#define VIT_GEMM_STACK_BYTES 1024  // stack that a core may use

// Shape of one call by the linear layers (vit_linear_rows.c): at most VIT_GEMM_ROWS rows (a
// multiple of VIT_ROW_GROUP), and as many channels as VIT_GEMM_ACCUMULATORS int32 sums, which live
// on the caller's stack, allow. Results do not depend on them.
#define VIT_GEMM_ROWS 4
#define VIT_GEMM_ACCUMULATORS 192

// Where the DSP core keeps the weights of four channels while it multiplies them with all rows of
// a call: `inputs` inputs (even) at a time, three words for two inputs, and the words that the core
// loads ahead. The portable cores do not touch it; memory plans are the same for all cores.
typedef struct {
  uint32_t* words;
  int32_t inputs;
} VitExpansion;

#define VIT_EXPANSION_INPUT_BYTES 6
#define VIT_EXPANSION_AHEAD_BYTES 12

// acc[r][2p]     = sum_k a[r][k] * low(w[p][k])
// acc[r][2p + 1] = sum_k a[r][k] * high(w[p][k])     where w[p][k] = low + 256 * high
//
// Dual-channel weights: int8 layers, and q x K with K packed in token pairs.
//   a          int16 [rows][k_even], |a| <= 255
//   w          int16 [channels / 2][k_even]
//   acc        int32 [rows][channels], overwritten
void vit_gemm_rows(const int16_t* a, int32_t a_stride, int32_t rows, const int16_t* w,
                   int32_t w_stride, int32_t k_even, int32_t channels, int32_t* acc,
                   int32_t acc_stride);

// acc[r][c] += sum_k a[r][k] * b[c][k]
//
// Wide operands: probabilities x V, two channels of V at a time.
//   a          int16 [rows][k_even]
//   b          int16 [channels][k_even]
//   acc        int32 [rows][channels], added to
void vit_gemm_wide(const int16_t* a, int32_t a_stride, int32_t rows, const int16_t* b,
                   int32_t b_stride, int32_t k_even, int32_t channels, int32_t* acc,
                   int32_t acc_stride);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_H_
