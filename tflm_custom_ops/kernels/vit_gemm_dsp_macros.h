// SPDX-License-Identifier: Apache-2.0
// What the assembly cores share: frame, unrolled loop, and the stores that follow a block's sums.
// Only for the assembler.
// clang-format off
//
// Registers of all cores: r0 r2 r4 the even-channel sums of rows 0 1 2, r1 r3 r5 those of the odd
// channel (packed cores: S0 + 256 S1 until they are separated), r6-r8 activations, r9-r11 weights,
// r12 the operand that every block starts over, lr the one that runs on from block to block. A
// block is 3 rows x 2 channels.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_MACROS_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_MACROS_H_

#include "vit_gemm_dsp_layout.h"

  .syntax unified
  .thumb

.macro BEGIN_FUNCTION name
  .section .text.\name, "ax", %progbits
  .p2align 2
  .global \name
  .thumb_func
  .type \name, %function
\name:
.endm

.macro END_FUNCTION name
  .size \name, . - \name
.endm

// \counter bodies, `many` at a time, then the rest one by one. Clobbers \counter.
.macro REPEAT name, counter, many, body, argument
  subs \counter, \counter, #\many
  blt.w \name\()_rest
\name\()_many:
  .rept \many
  \body \argument
  .endr
  subs \counter, \counter, #\many
  bge.w \name\()_many
\name\()_rest:
  adds \counter, \counter, #\many
  beq.w \name\()_end
\name\()_one:
  \body \argument
  subs \counter, \counter, #1
  bne.w \name\()_one
\name\()_end:
.endm

// Copies the job (r0) to the stack, so that SP addresses it and no register does. Clobbers r0-r9.
.macro ENTER
  push {r4-r11, lr}
  sub sp, sp, #VIT_DSP_JOB_FRAME_BYTES
  mov r12, sp
  .rept 3
  ldmia r0!, {r1-r9}
  stmia r12!, {r1-r9}
  .endr
  ldr lr, [sp, #VIT_DSP_JOB_RUNNING]
.endm

.macro LEAVE
  add sp, sp, #VIT_DSP_JOB_FRAME_BYTES
  pop {r4-r11, pc}
.endm

// Six sums, the reloaded operand, and PC: into the unrolled loop at the place that leaves the right
// number of steps.
.macro START_BLOCK
  ldm sp, {r0-r5, r12, pc}
.endm

// Unrolled steps, repeated until r12 or lr reaches the job's chunk_end.
.macro CHUNK_LOOP label, step, a, w
\label:
  .rept VIT_DSP_CHUNK_STEPS
  \step \a, \w
  .endr
\label\()_end:
  ldr r6, [sp, #VIT_DSP_JOB_CHUNK_END]
  cmp r12, r6
  bne.w \label
  ldr.w pc, [sp, #VIT_DSP_JOB_TAIL]
.endm

// The last 4, 2 or 0 inputs.
.macro TAILS name, step2
\name\()_tail4:
  \step2 lr, r12
\name\()_tail2:
  \step2 lr, r12
\name\()_tail0:
.endm

// Sums with bias -> r0-r5 in [-128, 127]. r7 r8 multipliers, r9 zero point; r10 = out, r11 = the
// store's parameter, r12 = bytes to the next group, r6 = end of the activations.
.macro REQUANTIZE
  smmlar r0, r0, r7, r9
  smmlar r1, r1, r8, r9
  smmlar r2, r2, r7, r9
  smmlar r3, r3, r8, r9
  smmlar r4, r4, r7, r9
  smmlar r5, r5, r8, r9
  ldr r6, [sp, #VIT_DSP_JOB_RUNNING_END]
  ssat r0, #8, r0
  ssat r1, #8, r1
  ssat r2, #8, r2
  ssat r3, #8, r3
  ssat r4, #8, r4
  ssat r5, #8, r5
.endm

.macro NEXT_GROUP block
  add r10, r10, r12
  str r10, [sp, #VIT_DSP_JOB_OUT]
  cmp lr, r6
  bne.w \block
  LEAVE
.endm

.macro PACK_ROWS
  pkhbt r0, r0, r1, lsl #16
  pkhbt r1, r2, r3, lsl #16
  pkhbt r2, r4, r5, lsl #16
.endm

// The stores of a columns core. \step2: two inputs; \finish: separates sums, loads r7-r12;
// \finish_sums: separates sums.
.macro STORES core, block, step2, finish, finish_sums
  // int8 rows; the parameter is the row stride.
  TAILS \core\()_int8, \step2
  \finish
  REQUANTIZE
  bfi r0, r1, #8, #8
  bfi r2, r3, #8, #8
  bfi r4, r5, #8, #8
  strh r0, [r10]
  strh r2, [r10, r11]
  strh r4, [r10, r11, lsl #1]
  NEXT_GROUP \block

  // int8 columns, one channel after the other; the parameter is the channel stride.
  TAILS \core\()_turned, \step2
  \finish
  REQUANTIZE
  strb r0, [r10]
  strb r2, [r10, #1]
  strb r4, [r10, #2]
  add r11, r11, r10
  strb r1, [r11]
  strb r3, [r11, #1]
  strb r5, [r11, #2]
  NEXT_GROUP \block

  // int16 tile.
  TAILS \core\()_tile, \step2
  \finish
  REQUANTIZE
  PACK_ROWS
  stm r10, {r0-r2}
  NEXT_GROUP \block

  // int16 tile of table values; the parameter is the address of the table's entry for 0.
  TAILS \core\()_lut, \step2
  \finish
  REQUANTIZE
  ldrsb r0, [r11, r0]
  ldrsb r1, [r11, r1]
  ldrsb r2, [r11, r2]
  ldrsb r3, [r11, r3]
  ldrsb r4, [r11, r4]
  ldrsb r5, [r11, r5]
  PACK_ROWS
  stm r10, {r0-r2}
  NEXT_GROUP \block

  // int32 sums with the bias, [group][row][channel].
  TAILS \core\()_sums, \step2
  \finish_sums
  ldr r7, [sp, #VIT_DSP_JOB_OUT]
  ldr r8, [sp, #VIT_DSP_JOB_RUNNING_END]
  stmia r7!, {r0-r5}
  str r7, [sp, #VIT_DSP_JOB_OUT]
  cmp lr, r8
  bne.w \block
  LEAVE
.endm

// Code addresses for vit_gemm_dsp.c (VitDspLabels), Thumb bit set.
.macro BEGIN_LABELS name
  .section .rodata.\name, "a", %progbits
  .p2align 2
  .global \name
  .type \name, %object
\name:
.endm

.macro TAIL_LABELS name
  .word \name\()_tail0 + 1, \name\()_tail2 + 1, \name\()_tail4 + 1
.endm

.macro STORE_LABELS core
  .word \core\()_chunk_end + 1
  TAIL_LABELS \core\()_int8
  TAIL_LABELS \core\()_turned
  TAIL_LABELS \core\()_tile
  TAIL_LABELS \core\()_lut
  TAIL_LABELS \core\()_sums
.endm

#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_MACROS_H_
