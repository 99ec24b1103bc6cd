// SPDX-License-Identifier: Apache-2.0
// The matrix core for Armv7E-M and Armv8-M Mainline with the DSP extension: two rows times three
// streams of weights. A stream holds one channel (probabilities x V), or the sums of two channels,
// four channels in three streams (docs/operators.md, Linear). docs/kernels.md draws the layouts
// and counts the instructions; vit_gemm_dsp.c fills the jobs.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#include "vit_gemm_dsp_loop.h"
#include "vit_gemm_dsp_macros.h"

// ---- separation and requantization -------------------------------------------------------------

// T1 T2 T3 = S0 + 256 S1, S1 + 256 S2, S2 + 256 S3 -> S0 in \s0, S1 S2 S3 in place of the streams.
// The first two lines leave S0 + 2^24 S3.
.macro SEPARATE t1, t2, t3, s0
  sub \s0, \t1, \t2, lsl #8
  add \s0, \s0, \t3, lsl #16
  sbfx \s0, \s0, #0, #24
  sub \t1, \t1, \s0
  asr \t1, \t1, #8
  sub \t2, \t2, \t1
  asr \t2, \t2, #8
  sub \t3, \t3, \t2
  asr \t3, \t3, #8
.endm

// Four sums of row 0 in r6 r0 r1 r2, of row 1 in r7 r3 r4 r5.
.macro SEPARATE_ROWS
  SEPARATE r0, r1, r2, r6
  SEPARATE r3, r4, r5, r7
.endm

// ... in [-128, 127]; r8 = out, r9 = the store's parameter, r10 = bytes to the next group, r11 =
// end of the activations.
.macro REQUANTIZE
  SEPARATE_ROWS
  add r8, sp, #VIT_DSP_JOB_MULTIPLIERS
  ldm r8, {r8-r12}
  smmlar r6, r6, r8, r12
  smmlar r0, r0, r9, r12
  smmlar r1, r1, r10, r12
  smmlar r2, r2, r11, r12
  smmlar r7, r7, r8, r12
  smmlar r3, r3, r9, r12
  smmlar r4, r4, r10, r12
  smmlar r5, r5, r11, r12
  add r8, sp, #VIT_DSP_JOB_OUT
  ldm r8, {r8-r11}
  ssat r6, #8, r6
  ssat r0, #8, r0
  ssat r1, #8, r1
  ssat r2, #8, r2
  ssat r7, #8, r7
  ssat r3, #8, r3
  ssat r4, #8, r4
  ssat r5, #8, r5
.endm

// Four bytes of each row: r6, r7.
.macro PACK_BYTES
  bfi r6, r0, #8, #8
  bfi r1, r2, #8, #8
  pkhbt r6, r6, r1, lsl #16
  bfi r7, r3, #8, #8
  bfi r4, r5, #8, #8
  pkhbt r7, r7, r4, lsl #16
.endm

// Words of a tile: channels 0 1 of both rows, channels 2 3 of both rows: r0-r3.
.macro PACK_TILE
  pkhbt r0, r6, r0, lsl #16
  pkhbt r2, r1, r2, lsl #16
  pkhbt r1, r7, r3, lsl #16
  pkhbt r3, r4, r5, lsl #16
.endm

.macro NEXT_GROUP
  add r8, r8, r10
  str r8, [sp, #VIT_DSP_JOB_OUT]
  cmp lr, r11
  bne.w gemm_block
  LEAVE
.endm

// ---- void vit_dsp_gemm(const VitDspJob* job) ---------------------------------------------------
// One group of streams' weights for all row groups.

BEGIN_FUNCTION vit_dsp_gemm
  ENTER
gemm_block:
  ldm sp, {r0-r5, r12, pc}  // streams, weights, and into the code

gemm_resume:
  ldr r6, [sp, #VIT_DSP_JOB_STREAMS]
  ldr lr, [sp, #VIT_DSP_JOB_RUNNING]
  ldr r7, [sp, #VIT_DSP_JOB_GROUP_BYTES]
  ldmia r6!, {r0-r5}
  str r6, [sp, #VIT_DSP_JOB_STREAMS]
  add r7, r7, lr
  str r7, [sp, #VIT_DSP_JOB_RUNNING]
#if VIT_DSP_SINGLE_LOADS
gemm_begin:
  LOADS_AHEAD
#endif
  ldr.w pc, [sp, #VIT_DSP_JOB_LOOP_ENTRY]

gemm_chunk:
  .rept VIT_DSP_CHUNK_STEPS
  STEP6
  .endr
gemm_chunk_end:
  ldr r6, [sp, #VIT_DSP_JOB_CHUNK_END]
  cmp r12, r6
  RESTORE_R6
  bne.w gemm_chunk
  ldr.w pc, [sp, #VIT_DSP_JOB_TAIL]
  TAILS

gemm_int8:
  REQUANTIZE
  PACK_BYTES
  str r7, [r8, r9]  // first: with a stride of 0 a row by itself stays
  str r6, [r8]
  NEXT_GROUP

gemm_turned:
  REQUANTIZE
  bfi r6, r7, #8, #8
  bfi r0, r3, #8, #8
  bfi r1, r4, #8, #8
  bfi r2, r5, #8, #8
  strh r6, [r8]
  strh r0, [r8, r9]
  strh r1, [r8, r9, lsl #1]
  add r9, r9, r9, lsl #1
  strh r2, [r8, r9]
  NEXT_GROUP

gemm_tile:
  REQUANTIZE
  PACK_TILE
  stm r8, {r0-r3}
  NEXT_GROUP

gemm_lut:
  REQUANTIZE
  ldrsb r6, [r9, r6]
  ldrsb r0, [r9, r0]
  ldrsb r1, [r9, r1]
  ldrsb r2, [r9, r2]
  ldrsb r7, [r9, r7]
  ldrsb r3, [r9, r3]
  ldrsb r4, [r9, r4]
  ldrsb r5, [r9, r5]
  PACK_TILE
  stm r8, {r0-r3}
  NEXT_GROUP

// [-127, 127] by a saturating subtraction and an addition of 1 to four bytes at once, then
// k0 + 256 k1 in each halfword.
gemm_keys:
  REQUANTIZE
  PACK_BYTES
  mov r12, #0x01010101
  qsub8 r6, r6, r12
  qsub8 r7, r7, r12
  sadd8 r6, r6, r12
  sadd8 r7, r7, r12
  lsl r3, r7, #8
  bic r7, r7, #0x00FF00FF
  bic r3, r3, #0x00FF00FF
  sxtb16 r0, r6
  sxtb16 r1, r6, ror #8
  sadd16 r0, r0, r3
  sadd16 r1, r1, r7
  pkhbt r2, r0, r1, lsl #16
  pkhtb r3, r1, r0, asr #16
  strd r2, r3, [r8]
  NEXT_GROUP

gemm_sums:
  SEPARATE_ROWS
  add r8, sp, #VIT_DSP_JOB_OUT
  ldm r8, {r8-r11}
  strd r6, r0, [r8]
  strd r1, r2, [r8, #8]
  strd r7, r3, [r8, #16]
  strd r4, r5, [r8, #24]
  NEXT_GROUP

gemm_streams:
  add r8, sp, #VIT_DSP_JOB_OUT
  ldm r8, {r8-r11}
  stm r8, {r0-r5}
  NEXT_GROUP
END_FUNCTION vit_dsp_gemm

BEGIN_LABELS vit_dsp_labels
#if VIT_DSP_SINGLE_LOADS
  .word gemm_begin + 1, gemm_resume + 1, gemm_chunk_end + 1
  .word gemm_tail0 + 1, gemm_tail2 + 1, gemm_tail4 + 1
#else
  .word 0, gemm_resume + 1, gemm_chunk_end + 1
  .word 0, gemm_tail2 + 1, gemm_tail4 + 1
#endif
  .word gemm_int8 + 1, gemm_turned + 1, gemm_tile + 1, gemm_lut + 1, gemm_keys + 1, gemm_sums + 1
  .word gemm_streams + 1

#endif  // VIT_DSP_ASM
