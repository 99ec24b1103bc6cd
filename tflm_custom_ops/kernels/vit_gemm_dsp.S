// SPDX-License-Identifier: Apache-2.0
// Matrix cores for Armv7E-M and Armv8-M Mainline with the DSP extension: 3 rows x 2 channels of
// int32 sums in registers, operands by LDM of three words. docs/kernels.md draws the layouts and
// counts the instructions; vit_gemm_dsp.h states the contract; vit_gemm_dsp_plan.c fills the jobs.
//
// Registers of all cores: r0 r2 r4 the even-channel sums S of rows 0 1 2, r1 r3 r5 the packed sums
// T, r6-r8 activations, r9-r11 weights, r12 the pointer that every block reloads from the job, lr
// the pointer that runs on from block to block. A block is 3 rows x 2 channels.
//
// The job is copied to the stack so that SP addresses it and no register does. One LDM starts a
// block: six sums, the reloaded pointer and PC, which jumps into the unrolled loop at the place
// that leaves the right number of steps.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

  .syntax unified
  .thumb

// Two inputs of a packed pair: 4 weights in \w, 3 rows x 2 activations in r6-r8.
.macro PAIR_PACKED w
  smlad r1, r6, \w, r1
  smlad r3, r7, \w, r3
  smlad r5, r8, \w, r5
  sxtb16 \w, \w
  smlad r0, r6, \w, r0
  smlad r2, r7, \w, r2
  smlad r4, r8, \w, r4
.endm

// Six inputs: 25 instructions, 100 bytes, 36 multiply-accumulates.
.macro STEP6_PACKED a, w
  ldmia.w \w!, {r9-r11}
  ldmia.w \a!, {r6-r8}
  PAIR_PACKED r9
  ldmia.w \a!, {r6-r8}
  PAIR_PACKED r10
  ldmia.w \a!, {r6-r8}
  PAIR_PACKED r11
.endm

// The last two or four inputs.
.macro STEP2_PACKED a, w
  ldr.w r9, [\w], #4
  ldmia.w \a!, {r6-r8}
  PAIR_PACKED r9
.endm

.macro STEP4_PACKED a, w
  ldrd r9, r10, [\w], #8
  ldmia.w \a!, {r6-r8}
  PAIR_PACKED r9
  ldmia.w \a!, {r6-r8}
  PAIR_PACKED r10
.endm

// T = S0 + 256 S1: S1 * 256 replaces T.
.macro SEPARATE
  subs r1, r1, r0
  subs r3, r3, r2
  subs r5, r5, r4
.endm

.macro BEGIN_FUNCTION name
  .section .text.\name, "ax", %progbits
  .p2align 2
  .global \name
  .thumb_func
  .type \name, %function
\name:
.endm

// Copies the job (r0) to the stack. Clobbers r0-r9, r12.
.macro ENTER
  push {r4-r11, lr}
  sub sp, sp, #VIT_DSP_JOB_FRAME_BYTES
  mov r12, sp
  .rept 3
  ldmia r0!, {r1-r9}
  stmia r12!, {r1-r9}
  .endr
.endm

.macro LEAVE
  add sp, sp, #VIT_DSP_JOB_FRAME_BYTES
  pop {r4-r11, pc}
.endm

// `count` unrolled steps, repeated until the reloaded pointer reaches the job's chunk_end. A block
// enters at \label_end minus the steps of its first, partial pass.
.macro CHUNK_LOOP label, count, step, a, w
\label:
  .rept \count
  \step \a, \w
  .endr
\label\()_end:
  ldr r6, [sp, #VIT_DSP_JOB_CHUNK_END]
  cmp r12, r6
  bne.w \label
  ldr.w pc, [sp, #VIT_DSP_JOB_TAIL]
.endm

// ---- vit_dsp_gemm_columns: one pair of channels for all row groups ----------------------------
// r12 = weights (reloaded for each group), lr = activations (run through the groups).

BEGIN_FUNCTION vit_dsp_gemm_columns
  ENTER
  ldr lr, [sp, #VIT_DSP_JOB_RUNNING]
columns_block:
  ldm sp, {r0-r5, r12, pc}

  CHUNK_LOOP columns_chunk, VIT_DSP_CHUNK_STEPS, STEP6_PACKED, lr, r12

// In-line requantization: shift 0, an output range of 256 values, three rows, two channels.
// Leaves r0 r2 r4 and r1 r3 r5 in [-128, 127], r10 = out, r11 = the variant's parameter, r12 = out
// step, r6 = end of the activations.
.macro REQUANTIZE
  add r6, sp, #VIT_DSP_JOB_BIAS1
  ldm r6, {r6-r12}  // bias1, multiplier0, multiplier1, zero point, out, parameter, out step
  SEPARATE
  add r1, r6, r1, asr #8
  add r3, r6, r3, asr #8
  add r5, r6, r5, asr #8
  smmlar r0, r0, r7, r9
  smmlar r1, r1, r8, r9
  smmlar r2, r2, r7, r9
  smmlar r3, r3, r8, r9
  smmlar r4, r4, r7, r9
  smmlar r5, r5, r8, r9
  ssat r0, #8, r0
  ssat r1, #8, r1
  ssat r2, #8, r2
  ssat r3, #8, r3
  ssat r4, #8, r4
  ssat r5, #8, r5
  ldr r6, [sp, #VIT_DSP_JOB_RUNNING_END]
.endm

.macro NEXT_GROUP
  add r10, r10, r12
  str r10, [sp, #VIT_DSP_JOB_OUT]
  cmp lr, r6
  bne.w columns_block
  LEAVE
.endm

// int8 rows; the parameter is the row stride.
columns_int8_tail4:
  STEP4_PACKED lr, r12
  b columns_int8_tail0
columns_int8_tail2:
  STEP2_PACKED lr, r12
columns_int8_tail0:
  REQUANTIZE
  bfi r0, r1, #8, #8
  bfi r2, r3, #8, #8
  bfi r4, r5, #8, #8
  strh r0, [r10]
  strh r2, [r10, r11]
  strh r4, [r10, r11, lsl #1]
  NEXT_GROUP

// int8 columns, one channel after the other; the parameter is the stride from channel to channel.
columns_turned_tail4:
  STEP4_PACKED lr, r12
  b columns_turned_tail0
columns_turned_tail2:
  STEP2_PACKED lr, r12
columns_turned_tail0:
  REQUANTIZE
  strb r0, [r10]
  strb r2, [r10, #1]
  strb r4, [r10, #2]
  add r11, r11, r10
  strb r1, [r11]
  strb r3, [r11, #1]
  strb r5, [r11, #2]
  NEXT_GROUP

// int16 tile; the parameter is subtracted from each half of a pair.
columns_tile_tail4:
  STEP4_PACKED lr, r12
  b columns_tile_tail0
columns_tile_tail2:
  STEP2_PACKED lr, r12
columns_tile_tail0:
  REQUANTIZE
  pkhbt r0, r0, r1, lsl #16
  pkhbt r1, r2, r3, lsl #16
  pkhbt r2, r4, r5, lsl #16
  ssub16 r0, r0, r11
  ssub16 r1, r1, r11
  ssub16 r2, r2, r11
  stm r10, {r0-r2}
  NEXT_GROUP

// int16 tile of table values; the parameter is the address of the table's entry for 0.
columns_lut_tail4:
  STEP4_PACKED lr, r12
  b columns_lut_tail0
columns_lut_tail2:
  STEP2_PACKED lr, r12
columns_lut_tail0:
  REQUANTIZE
  ldrsb r0, [r11, r0]
  ldrsb r1, [r11, r1]
  ldrsb r2, [r11, r2]
  ldrsb r3, [r11, r3]
  ldrsb r4, [r11, r4]
  ldrsb r5, [r11, r5]
  pkhbt r0, r0, r1, lsl #16
  pkhbt r1, r2, r3, lsl #16
  pkhbt r2, r4, r5, lsl #16
  stm r10, {r0-r2}
  NEXT_GROUP

// int32 sums with the bias, [group][row][channel].
columns_sums_tail4:
  STEP4_PACKED lr, r12
  b columns_sums_tail0
columns_sums_tail2:
  STEP2_PACKED lr, r12
columns_sums_tail0:
  ldr r6, [sp, #VIT_DSP_JOB_BIAS1]
  ldr r7, [sp, #VIT_DSP_JOB_OUT]
  ldr r8, [sp, #VIT_DSP_JOB_RUNNING_END]
  SEPARATE
  add r1, r6, r1, asr #8
  add r3, r6, r3, asr #8
  add r5, r6, r5, asr #8
  stmia r7!, {r0-r5}
  str r7, [sp, #VIT_DSP_JOB_OUT]
  cmp lr, r8
  bne.w columns_block
  LEAVE

// The same in blocks of inputs, where 256 S1 of the whole row would leave 32 bits: S1 is taken
// out after each block. The job's entry is columns_blocked for each group.
columns_blocked:
  ldr r6, [sp, #VIT_DSP_JOB_BIAS1]
  strd r6, r6, [sp, #VIT_DSP_JOB_PARTIAL]
  str r6, [sp, #VIT_DSP_JOB_PARTIAL + 8]
  ldr r7, [sp, #VIT_DSP_JOB_BLOCKS]
  str r7, [sp, #VIT_DSP_JOB_BLOCKS_LEFT]
  ldr r7, [sp, #VIT_DSP_JOB_BLOCK_CHUNK_END]
  ldr r8, [sp, #VIT_DSP_JOB_BLOCK_TAIL]
  str r7, [sp, #VIT_DSP_JOB_CHUNK_END]
  str r8, [sp, #VIT_DSP_JOB_TAIL]
  ldr.w pc, [sp, #VIT_DSP_JOB_BLOCK_ENTRY]

columns_blocked_tail4:
  STEP4_PACKED lr, r12
  b columns_blocked_tail0
columns_blocked_tail2:
  STEP2_PACKED lr, r12
columns_blocked_tail0:
  add r6, sp, #VIT_DSP_JOB_PARTIAL
  ldm r6, {r7-r9}
  ldr r10, [sp, #VIT_DSP_JOB_BLOCKS_LEFT]
  SEPARATE
  add r7, r7, r1, asr #8
  add r8, r8, r3, asr #8
  add r9, r9, r5, asr #8
  subs r10, r10, #1
  beq columns_blocked_done
  stm r6, {r7-r9}
  str r10, [sp, #VIT_DSP_JOB_BLOCKS_LEFT]
  mov r1, r0
  mov r3, r2
  mov r5, r4
  cmp r10, #1
  beq columns_last_block
  ldr r6, [sp, #VIT_DSP_JOB_CHUNK_END]
  ldr r7, [sp, #VIT_DSP_JOB_BLOCK_BYTES]
  add r6, r6, r7
  str r6, [sp, #VIT_DSP_JOB_CHUNK_END]
  ldr.w pc, [sp, #VIT_DSP_JOB_BLOCK_ENTRY]
columns_last_block:
  ldr r6, [sp, #VIT_DSP_JOB_LAST_CHUNK_END]
  ldr r7, [sp, #VIT_DSP_JOB_LAST_TAIL]
  str r6, [sp, #VIT_DSP_JOB_CHUNK_END]
  str r7, [sp, #VIT_DSP_JOB_TAIL]
  ldr.w pc, [sp, #VIT_DSP_JOB_LAST_ENTRY]
columns_blocked_done:
  ldr r10, [sp, #VIT_DSP_JOB_OUT]
  ldr r11, [sp, #VIT_DSP_JOB_RUNNING_END]
  mov r1, r7
  mov r3, r8
  mov r5, r9
  stmia r10!, {r0-r5}
  str r10, [sp, #VIT_DSP_JOB_OUT]
  cmp lr, r11
  bne.w columns_block
  LEAVE
  .size vit_dsp_gemm_columns, . - vit_dsp_gemm_columns

// ---- vit_dsp_gemm_rows: one row group, all pairs of channels -----------------------------------
// r12 = activations (reloaded for each pair), lr = weights (run through the pairs).

BEGIN_FUNCTION vit_dsp_gemm_rows
  ENTER
  ldr lr, [sp, #VIT_DSP_JOB_RUNNING]
rows_block:
  ldm sp, {r0-r5, r12, pc}

  CHUNK_LOOP rows_chunk, VIT_DSP_CHUNK_STEPS, STEP6_PACKED, r12, lr

rows_tail4:
  STEP4_PACKED r12, lr
  b rows_tail0
rows_tail2:
  STEP2_PACKED r12, lr
rows_tail0:
  ldr r7, [sp, #VIT_DSP_JOB_OUT]
  ldr r8, [sp, #VIT_DSP_JOB_RUNNING_END]
  SEPARATE
  asrs r1, r1, #8
  asrs r3, r3, #8
  asrs r5, r5, #8
  stmia r7!, {r0-r5}
  str r7, [sp, #VIT_DSP_JOB_OUT]
  cmp lr, r8
  bne.w rows_block
  LEAVE
  .size vit_dsp_gemm_rows, . - vit_dsp_gemm_rows

// ---- vit_dsp_gemm_wide: one pair of int16 columns for all row groups ---------------------------
// r12 = columns (reloaded for each group), lr = rows (run through the groups). Both channels come
// sign-extended, [inputs / 2][2 channels] words: probabilities times values reach 2^30, too large
// for the packed sums.

.macro PAIR_WIDE low, high
  smlad r0, r6, \low, r0
  smlad r2, r7, \low, r2
  smlad r4, r8, \low, r4
  smlad r1, r6, \high, r1
  smlad r3, r7, \high, r3
  smlad r5, r8, \high, r5
.endm

// Six inputs: 23 instructions, 92 bytes, 36 multiply-accumulates.
.macro STEP6_WIDE a, w
  ldmia.w \w!, {r9-r11}
  ldmia.w \a!, {r6-r8}
  PAIR_WIDE r9, r10
  ldmia.w \a!, {r6-r8}
  smlad r0, r6, r11, r0
  smlad r2, r7, r11, r2
  smlad r4, r8, r11, r4
  ldmia.w \w!, {r9-r11}
  smlad r1, r6, r9, r1
  smlad r3, r7, r9, r3
  smlad r5, r8, r9, r5
  ldmia.w \a!, {r6-r8}
  PAIR_WIDE r10, r11
.endm

.macro STEP2_WIDE a, w
  ldrd r9, r10, [\w], #8
  ldmia.w \a!, {r6-r8}
  PAIR_WIDE r9, r10
.endm

BEGIN_FUNCTION vit_dsp_gemm_wide
  ENTER
  ldr lr, [sp, #VIT_DSP_JOB_RUNNING]
wide_block:
  ldm sp, {r0-r5, r12, pc}

  CHUNK_LOOP wide_chunk, VIT_DSP_CHUNK_STEPS, STEP6_WIDE, lr, r12

wide_tail4:
  STEP2_WIDE lr, r12
wide_tail2:
  STEP2_WIDE lr, r12
wide_tail0:
  ldr r7, [sp, #VIT_DSP_JOB_OUT]
  ldr r8, [sp, #VIT_DSP_JOB_RUNNING_END]
  stmia r7!, {r0-r5}
  str r7, [sp, #VIT_DSP_JOB_OUT]
  cmp lr, r8
  bne.w wide_block
  LEAVE
  .size vit_dsp_gemm_wide, . - vit_dsp_gemm_wide

// ---- Code addresses for the jobs ---------------------------------------------------------------

  .section .rodata.vit_dsp_labels, "a", %progbits
  .p2align 2
.macro LABELS name
  .global \name
  .type \name, %object
\name:
.endm

LABELS vit_dsp_columns_labels
  .word columns_chunk_end + 1
  .word columns_int8_tail0 + 1, columns_int8_tail2 + 1, columns_int8_tail4 + 1
  .word columns_turned_tail0 + 1, columns_turned_tail2 + 1, columns_turned_tail4 + 1
  .word columns_tile_tail0 + 1, columns_tile_tail2 + 1, columns_tile_tail4 + 1
  .word columns_lut_tail0 + 1, columns_lut_tail2 + 1, columns_lut_tail4 + 1
  .word columns_sums_tail0 + 1, columns_sums_tail2 + 1, columns_sums_tail4 + 1
  .word columns_blocked_tail0 + 1, columns_blocked_tail2 + 1, columns_blocked_tail4 + 1
  .word columns_blocked + 1
LABELS vit_dsp_rows_labels
  .word rows_chunk_end + 1
  .word rows_tail0 + 1, rows_tail2 + 1, rows_tail4 + 1
LABELS vit_dsp_wide_labels
  .word wide_chunk_end + 1
  .word wide_tail0 + 1, wide_tail2 + 1, wide_tail4 + 1

#endif  // VIT_DSP_ASM
