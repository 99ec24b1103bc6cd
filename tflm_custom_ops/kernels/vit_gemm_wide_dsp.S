// SPDX-License-Identifier: Apache-2.0
// Wide matrix core for Armv7E-M and Armv8-M Mainline with the DSP extension: both channels of a
// pair as int16, [inputs / 2][2 channels] words. Probabilities times values need it (their sums
// reach 2^30, too large for packed ones), and packed weights that are used by many row groups are
// faster expanded to it.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#include "vit_gemm_dsp_macros.h"

.macro THREE_ROWS s0, s1, s2, w
  smlad \s0, r6, \w, \s0
  smlad \s1, r7, \w, \s1
  smlad \s2, r8, \w, \s2
.endm

// Six inputs: 23 instructions, 92 bytes, 36 multiply-accumulates.
.macro STEP6_WIDE a, w
  ldmia.w \w!, {r9-r11}
  ldmia.w \a!, {r6-r8}
  THREE_ROWS r0, r2, r4, r9
  THREE_ROWS r1, r3, r5, r10
  ldmia.w \a!, {r6-r8}
  THREE_ROWS r0, r2, r4, r11
  ldmia.w \w!, {r9-r11}
  THREE_ROWS r1, r3, r5, r9
  ldmia.w \a!, {r6-r8}
  THREE_ROWS r0, r2, r4, r10
  THREE_ROWS r1, r3, r5, r11
.endm

.macro STEP2_WIDE a, w
  ldrd r9, r10, [\w], #8
  ldmia.w \a!, {r6-r8}
  THREE_ROWS r0, r2, r4, r9
  THREE_ROWS r1, r3, r5, r10
.endm

.macro FINISH_WIDE
  add r7, sp, #VIT_DSP_JOB_MULTIPLIERS
  ldm r7, {r7-r12}
.endm

.macro FINISH_WIDE_SUMS
.endm

// ---- vit_dsp_gemm_wide: one pair of columns for all row groups ---------------------------------
// r12 = columns, lr = activations.

BEGIN_FUNCTION vit_dsp_gemm_wide
  ENTER
wide_block:
  START_BLOCK

// A part of the inputs: the sums go on from those of the part before, and the activations of the
// next group are group_bytes away. The job's entry is wide_resumed for each group.
wide_resumed:
  ldr r6, [sp, #VIT_DSP_JOB_PARTIAL]
  ldr lr, [sp, #VIT_DSP_JOB_RUNNING]
  ldr r7, [sp, #VIT_DSP_JOB_GROUP_BYTES]
  ldmia r6!, {r0-r5}
  str r6, [sp, #VIT_DSP_JOB_PARTIAL]
  add r7, r7, lr
  str r7, [sp, #VIT_DSP_JOB_RUNNING]
  ldr.w pc, [sp, #VIT_DSP_JOB_RESUMED_ENTRY]

  CHUNK_LOOP wide_chunk, STEP6_WIDE, lr, r12
  STORES wide, wide_block, STEP2_WIDE, FINISH_WIDE, FINISH_WIDE_SUMS
END_FUNCTION vit_dsp_gemm_wide

// ---- vit_dsp_expand ----------------------------------------------------------------------------
// void vit_dsp_expand(const int16_t* packed, uint32_t* out, int32_t words);
// Packed words (2 inputs x 2 channels) -> [words][2 channels] pairs of int16. high = the upper byte
// of w0 + 256 w1 + 128. 11 instructions for three words.

.macro EXPAND low, high, w
  sxtb16 \low, \w
  sadd16 \high, \w, r12
  sxtb16 \high, \high, ror #8
.endm

.macro EXPAND3
  ldmia r0!, {r9-r11}
  EXPAND r3, r4, r9
  EXPAND r5, r6, r10
  EXPAND r7, r8, r11
  stmia r1!, {r3-r8}
.endm

BEGIN_FUNCTION vit_dsp_expand
  push {r4-r11}
  mov r12, #0x00800080
  subs r2, r2, #12
  blt 2f
1:
  .rept 4
  EXPAND3
  .endr
  subs r2, r2, #12
  bge 1b
2:
  adds r2, r2, #12
  beq 4f
3:
  ldr r9, [r0], #4
  EXPAND r3, r4, r9
  strd r3, r4, [r1], #8
  subs r2, r2, #1
  bne 3b
4:
  pop {r4-r11}
  bx lr
END_FUNCTION vit_dsp_expand

BEGIN_LABELS vit_dsp_wide_labels
  STORE_LABELS wide
  .word wide_resumed + 1

#endif  // VIT_DSP_ASM
