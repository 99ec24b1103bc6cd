// SPDX-License-Identifier: Apache-2.0
// Packed matrix cores for Armv7E-M and Armv8-M Mainline with the DSP extension: int8 weights, two
// channels in one int16 (docs/operators.md, Linear). docs/kernels.md draws the layouts and counts
// the instructions; vit_gemm_dsp.h states the contract; vit_gemm_dsp.c fills the jobs.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#include "vit_gemm_dsp_macros.h"

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

.macro STEP2_PACKED a, w
  ldr.w r9, [\w], #4
  ldmia.w \a!, {r6-r8}
  PAIR_PACKED r9
.endm

// T = S0 + 256 S1: S1 * 256 replaces T.
.macro SEPARATE
  sub r1, r1, r0
  sub r3, r3, r2
  sub r5, r5, r4
.endm

// S1 and its bias, in r6. S0 starts from its bias, which T has too.
.macro ADD_BIAS1
  add r1, r6, r1, asr #8
  add r3, r6, r3, asr #8
  add r5, r6, r5, asr #8
.endm

.macro FINISH_PACKED
  add r6, sp, #VIT_DSP_JOB_BIAS1
  ldm r6, {r6-r12}
  SEPARATE
  ADD_BIAS1
.endm

.macro FINISH_PACKED_SUMS
  ldr r6, [sp, #VIT_DSP_JOB_BIAS1]
  SEPARATE
  ADD_BIAS1
.endm

// ---- vit_dsp_gemm_columns: one pair of channels for all row groups ----------------------------
// r12 = weights, lr = activations.

BEGIN_FUNCTION vit_dsp_gemm_columns
  ENTER
columns_block:
  START_BLOCK
  CHUNK_LOOP columns_chunk, STEP6_PACKED, lr, r12
  STORES columns, columns_block, STEP2_PACKED, FINISH_PACKED, FINISH_PACKED_SUMS

// The same in blocks of inputs, where 256 S1 of the whole row would leave 32 bits: S1 is taken
// out after each block. The job's entry is columns_blocked for each group.
columns_blocked:
  ldr r6, [sp, #VIT_DSP_JOB_BIAS1]
  strd r6, r6, [sp, #VIT_DSP_JOB_PARTIAL_S1]
  str r6, [sp, #VIT_DSP_JOB_PARTIAL_S1 + 8]
  ldr r7, [sp, #VIT_DSP_JOB_BLOCKS]
  str r7, [sp, #VIT_DSP_JOB_BLOCKS_LEFT]
  ldr r7, [sp, #VIT_DSP_JOB_BLOCK_CHUNK_END]
  ldr r8, [sp, #VIT_DSP_JOB_BLOCK_TAIL]
  str r7, [sp, #VIT_DSP_JOB_CHUNK_END]
  str r8, [sp, #VIT_DSP_JOB_TAIL]
  ldr.w pc, [sp, #VIT_DSP_JOB_BLOCK_ENTRY]

  TAILS columns_blocked, STEP2_PACKED
  add r6, sp, #VIT_DSP_JOB_PARTIAL_S1
  ldm r6, {r7-r9}
  ldr r10, [sp, #VIT_DSP_JOB_BLOCKS_LEFT]
  SEPARATE
  add r7, r7, r1, asr #8
  add r8, r8, r3, asr #8
  add r9, r9, r5, asr #8
  mov r1, r0
  mov r3, r2
  mov r5, r4
  subs r10, r10, #1
  beq columns_blocked_done
  stm r6, {r7-r9}
  str r10, [sp, #VIT_DSP_JOB_BLOCKS_LEFT]
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
END_FUNCTION vit_dsp_gemm_columns

// ---- vit_dsp_gemm_rows: one row group, all pairs of channels, sums without bias ----------------
// r12 = activations, lr = weights.

BEGIN_FUNCTION vit_dsp_gemm_rows
  ENTER
rows_block:
  START_BLOCK
  CHUNK_LOOP rows_chunk, STEP6_PACKED, r12, lr
rows_tail4:
  STEP2_PACKED r12, lr
rows_tail2:
  STEP2_PACKED r12, lr
rows_tail0:
  ldr r7, [sp, #VIT_DSP_JOB_OUT]
  ldr r8, [sp, #VIT_DSP_JOB_RUNNING_END]
  SEPARATE
  asr r1, r1, #8
  asr r3, r3, #8
  asr r5, r5, #8
  stmia r7!, {r0-r5}
  str r7, [sp, #VIT_DSP_JOB_OUT]
  cmp lr, r8
  bne.w rows_block
  LEAVE
END_FUNCTION vit_dsp_gemm_rows

BEGIN_LABELS vit_dsp_columns_labels
  STORE_LABELS columns
  TAIL_LABELS columns_blocked
  .word columns_blocked + 1
BEGIN_LABELS vit_dsp_rows_labels
  .word rows_chunk_end + 1
  TAIL_LABELS rows

#endif  // VIT_DSP_ASM
