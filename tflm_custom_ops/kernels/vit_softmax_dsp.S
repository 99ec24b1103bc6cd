// SPDX-License-Identifier: Apache-2.0
// One row of the attention's softmax (docs/operators.md, Attention block) on a core with the DSP
// extension: maximum, then exponentials by table, their sum, and their store as int16 pairs where
// the product with V reads them.
//
//   uint32_t vit_dsp_softmax_row(const int32_t* scores, uint32_t* tile, int32_t tokens,
//                                const VitSoftmax* softmax);
//
// scores: one row of int32 [quad][2][4] (32 bytes from quad to quad of tokens). tile: one row of
// int16 [pair][2][2] (8 bytes), four tokens in the order (0, 2), (1, 3), in which SXTB16 widens the
// values; the last four are padded with 0. Returns the sum.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#include "vit_gemm_dsp_macros.h"

#define SCORES r0
#define TILE r1
#define COUNT r2
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

.macro MAXIMUM_QUAD
  ldrd r8, r9, [SCORES], #8
  ldrd r10, r11, [SCORES], #24
  LARGER r8
  LARGER r9
  LARGER r10
  LARGER r11
.endm

.macro MAXIMUM_ONE
  ldr r8, [SCORES], #4
  LARGER r8
.endm

// t of two scores: \a, \b; \step bytes to the next two.
.macro ARGUMENTS a, b, step, shifted
  ldrd \a, \b, [SCORES], #\step
  sub \a, MAXIMUM, \a
  sub \b, MAXIMUM, \b
  .if \shifted
  lsl \a, \a, SHIFT
  lsl \b, \b, SHIFT
  .endif
  smmulr \a, \a, MULTIPLIER
  smmulr \b, \b, MULTIPLIER
  usat \a, #13, \a
  usat \b, #13, \b
.endm

// \e = table[\t & 255] >> (\t >> 8); \t is lost.
.macro EXPONENTIAL e, t
  uxtb \e, \t
  ldrh \e, [TABLE, \e, lsl #1]
  lsr \t, \t, #8
  lsr \e, \e, \t
.endm

// Four tokens: 36 instructions, 40 with a shift.
.macro EXP_QUAD shifted
  ARGUMENTS r8, r9, 8, \shifted
  EXPONENTIAL r10, r8
  EXPONENTIAL r11, r9
  ARGUMENTS r8, r12, 24, \shifted
  EXPONENTIAL r9, r8
  EXPONENTIAL r8, r12
  pkhbt r10, r10, r9, lsl #16
  pkhbt r11, r11, r8, lsl #16
  smlad SUM, r10, ONES, SUM
  smlad SUM, r11, ONES, SUM
  str r10, [TILE], #8
  str r11, [TILE], #8
.endm

// One of the last tokens: its score and its place in the tile.
.macro EXP_LAST score, place
  ldr r8, [SCORES, #\score]
  sub r8, MAXIMUM, r8
  lsl r8, r8, SHIFT
  smmulr r8, r8, MULTIPLIER
  usat r8, #13, r8
  EXPONENTIAL r10, r8
  add SUM, SUM, r10
  strh r10, [TILE, #\place]
.endm

BEGIN_FUNCTION vit_dsp_softmax_row
  push {r0, r2, r4-r11, lr}
  ldm r3, {r4, r5, lr}  // multiplier, table, shift
  ldr MAXIMUM, [SCORES]
  lsr COUNT, r2, #2
  REPEAT maximum, COUNT, 4, MAXIMUM_QUAD
  ldr COUNT, [sp, #4]
  and COUNT, COUNT, #3
  REPEAT maximum_last, COUNT, 4, MAXIMUM_ONE
  ldrd SCORES, COUNT, [sp]
  mov SUM, #0
  mov ONES, #0x00010001
  lsr COUNT, COUNT, #2
  cmp SHIFT, #0
  bne.w softmax_shifted
  REPEAT plain, COUNT, 4, EXP_QUAD, 0
softmax_last:
  ldr r2, [sp, #4]
  ands r2, r2, #3
  beq softmax_done
  mov r8, #0
  str r8, [TILE]
  str r8, [TILE, #8]
  EXP_LAST 0, 0
  subs r2, r2, #1
  beq softmax_done
  EXP_LAST 4, 8
  subs r2, r2, #1
  beq softmax_done
  EXP_LAST 8, 2
softmax_done:
  mov r0, SUM
  add sp, sp, #8
  pop {r4-r11, pc}
softmax_shifted:
  REPEAT shifted, COUNT, 4, EXP_QUAD, 1
  b.w softmax_last
END_FUNCTION vit_dsp_softmax_row

#endif  // VIT_DSP_ASM
