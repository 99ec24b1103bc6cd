// SPDX-License-Identifier: Apache-2.0
// The two forms of the matrix core's loop. Only for the assembler.
// clang-format off
//
// r0 r1 r2 the streams T1 T2 T3 of row 0, r3 r4 r5 those of row 1; r6-r8 activations, r9-r11
// weights of the three streams, r12 the weights, lr the activations.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_LOOP_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_LOOP_H_

#include "vit_gemm_dsp_layout.h"

// Two inputs: one word of activations of each row.
.macro ROW0 a
  smlad r0, \a, r9, r0
  smlad r1, \a, r10, r1
  smlad r2, \a, r11, r2
.endm

.macro ROW1 a
  smlad r3, \a, r9, r3
  smlad r4, \a, r10, r4
  smlad r5, \a, r11, r5
.endm

#if VIT_DSP_SINGLE_LOADS

// The words of the next two inputs are loaded between the products; three of each operand are
// ahead at the begin and at the end of a step.
.macro LOADS_AHEAD
  ldm.w r12, {r9-r11}
  ldm.w lr, {r6-r8}
  add.w r12, r12, #12
  add.w lr, lr, #12
.endm

// \first, \second: rows 0 and 1 of these inputs; \third, \fourth of the next ones, where known.
.macro PAIR_SINGLE first, second, w, a0, at0, a1, at1
  smlad r0, \first, r9, r0
  smlad r1, \first, r10, r1
  smlad r2, \first, r11, r2
  ldr.w \a0, [lr, #\at0]
  smlad r3, \second, r9, r3
  ldr.w r9, [r12, #\w]
  smlad r4, \second, r10, r4
  ldr.w r10, [r12, #\w + 4]
  smlad r5, \second, r11, r5
  ldr.w r11, [r12, #\w + 8]
  ldr.w \a1, [lr, #\at1]
.endm

// Six inputs: 35 instructions, 140 bytes, 48 multiply-accumulates.
.macro STEP6
  PAIR_SINGLE r6, r7, 0, r6, 0, r7, 4
  PAIR_SINGLE r8, r6, 12, r8, 8, r6, 12
  PAIR_SINGLE r7, r8, 24, r7, 16, r8, 20
  add.w r12, r12, #36
  add.w lr, lr, #24
.endm

.macro RESTORE_R6
  ldr r6, [lr, #-12]
.endm

.macro TAILS
gemm_tail4:
  ROW0 r6
  ROW1 r7
  ldm.w r12, {r9-r11}
  ldr.w r7, [lr], #4
  ROW0 r8
  ROW1 r7
  ldr.w pc, [sp, #VIT_DSP_JOB_STORE]
gemm_tail2:
  ROW0 r6
  ROW1 r7
  sub.w lr, lr, #4
  ldr.w pc, [sp, #VIT_DSP_JOB_STORE]
gemm_tail0:
  sub.w lr, lr, #12
  ldr.w pc, [sp, #VIT_DSP_JOB_STORE]
.endm

#else

// Six inputs: 23 instructions, 92 bytes, 48 multiply-accumulates.
.macro STEP6
  ldmia.w r12!, {r9-r11}
  ldmia.w lr!, {r6-r8}
  ROW0 r6
  ROW1 r7
  ldmia.w r12!, {r9-r11}
  ROW0 r8
  ldmia.w lr!, {r6-r8}
  ROW1 r6
  ldmia.w r12!, {r9-r11}
  ROW0 r7
  ROW1 r8
.endm

.macro STEP2
  ldmia.w r12!, {r9-r11}
  ldrd r6, r7, [lr], #8
  ROW0 r6
  ROW1 r7
.endm

.macro RESTORE_R6
.endm

.macro TAILS
gemm_tail4:
  STEP2
gemm_tail2:
  STEP2
  ldr.w pc, [sp, #VIT_DSP_JOB_STORE]
.endm

#endif  // VIT_DSP_SINGLE_LOADS

#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_LOOP_H_
