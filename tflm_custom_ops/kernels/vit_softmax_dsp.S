// SPDX-License-Identifier: Apache-2.0
// One row of the attention's softmax (docs/operators.md, Attention block) on a core with the DSP
// extension: maximum, then exponentials by table, their sum, and their store as int16 pairs where
// the product with V reads them.
//
//   uint32_t vit_dsp_softmax_row(const int32_t* scores, uint32_t* tile, int32_t tokens,
//                                const VitDspSoftmax* softmax);
//
// scores: one row of int32 [pair][3][2] (24 bytes from pair to pair); tile: the same row of int16
// [pair][3][2] (12 bytes); an odd `tokens` stores 0 for the missing key. Returns the sum.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

  .syntax unified
  .thumb

#define SCORES r0
#define TILE r1
#define PAIRS r2
#define MAXIMUM r3
#define MULTIPLIER r4
#define TABLE r5
#define ONES r6
#define SUM r7
#define SHIFT lr

.macro LARGER value
  cmp \value, MAXIMUM
  it gt
  movgt MAXIMUM, \value
.endm

.macro MAXIMUM_PAIR
  ldrd r8, r9, [SCORES], #24
  LARGER r8
  LARGER r9
.endm

// 18 instructions for two elements, 20 with a shift.
.macro EXP_PAIR shifted
  ldrd r8, r9, [SCORES], #24
  sub r8, MAXIMUM, r8
  sub r9, MAXIMUM, r9
  .if \shifted
  lsl r8, r8, SHIFT
  lsl r9, r9, SHIFT
  .endif
  smmulr r8, r8, MULTIPLIER
  smmulr r9, r9, MULTIPLIER
  usat r8, #13, r8
  usat r9, #13, r9
  uxtb r10, r8
  uxtb r11, r9
  ldrh r10, [TABLE, r10, lsl #1]
  ldrh r11, [TABLE, r11, lsl #1]
  lsr r8, r8, #8
  lsr r9, r9, #8
  lsr r10, r10, r8
  lsr r11, r11, r9
  pkhbt r10, r10, r11, lsl #16
  smlad SUM, r10, ONES, SUM
  str r10, [TILE], #12
.endm

// Four pairs at a time, then the rest one by one. Clobbers PAIRS.
.macro FOR_PAIRS name, body, argument
  subs PAIRS, PAIRS, #4
  blt \name\()_rest
\name\()_four:
  .rept 4
  \body \argument
  .endr
  subs PAIRS, PAIRS, #4
  bge.w \name\()_four
\name\()_rest:
  adds PAIRS, PAIRS, #4
  beq \name\()_end
\name\()_one:
  \body \argument
  subs PAIRS, PAIRS, #1
  bne \name\()_one
\name\()_end:
.endm

  .section .text.vit_dsp_softmax_row, "ax", %progbits
  .p2align 2
  .global vit_dsp_softmax_row
  .thumb_func
  .type vit_dsp_softmax_row, %function
vit_dsp_softmax_row:
  push {r0, r2, r4-r11, lr}
  ldm r3, {r4, r5, lr}  // multiplier, table, shift
  ldr MAXIMUM, [SCORES]
  lsr PAIRS, r2, #1
  FOR_PAIRS maximum, MAXIMUM_PAIR,
  ldrd r8, r2, [sp]
  tst r2, #1
  beq softmax_maximum_known
  ldr r9, [SCORES]
  LARGER r9
softmax_maximum_known:
  mov SCORES, r8
  mov SUM, #0
  mov ONES, #0x00010001
  lsrs PAIRS, r2, #1
  beq softmax_last
  cmp SHIFT, #0
  bne.w softmax_shifted
  FOR_PAIRS plain, EXP_PAIR, 0
softmax_last:
  ldr r2, [sp, #4]
  tst r2, #1
  beq softmax_done
  ldr r8, [SCORES]
  sub r8, MAXIMUM, r8
  lsl r8, r8, SHIFT
  smmulr r8, r8, MULTIPLIER
  usat r8, #13, r8
  uxtb r10, r8
  ldrh r10, [TABLE, r10, lsl #1]
  lsr r8, r8, #8
  lsr r10, r10, r8
  add SUM, SUM, r10
  str r10, [TILE]
softmax_done:
  mov r0, SUM
  add sp, sp, #8
  pop {r4-r11, pc}
softmax_shifted:
  FOR_PAIRS shifted, EXP_PAIR, 1
  b.w softmax_last
  .size vit_dsp_softmax_row, . - vit_dsp_softmax_row

#endif  // VIT_DSP_ASM
