// SPDX-License-Identifier: Apache-2.0
// Weights of the matrix core's three streams, from packed pairs of channels or from values.
// vit_expand_dsp.h has the contracts.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#include "vit_gemm_dsp_macros.h"

// ---- vit_dsp_expand: 9 instructions for 16 weights ---------------------------------------------
// r0 = pair 0, r1 = pair 1, r2 = out, r3 = words of one pair; r12 and lr constants.

// w1 + 256 w2: w1 is the upper byte of w0 + 256 w1 + 128, w2 the low byte of w2 + 256 w3.
.macro MIDDLE middle, pair0, pair1
  sadd16 \middle, \pair0, r12
  and r10, lr, \pair1, lsl #8
  sxtab16 \middle, r10, \middle, ror #8
.endm

.macro EXPAND2
  ldrd r4, r7, [r0], #8
  ldrd r6, r9, [r1], #8
  MIDDLE r5, r4, r6
  MIDDLE r8, r7, r9
  stmia r2!, {r4-r9}
.endm

BEGIN_FUNCTION vit_dsp_expand
  push {r4-r10, lr}
  mov r12, #0x00800080
  mov lr, #0xFF00FF00
  subs r3, r3, #12
  blt 2f
1:
  .rept 6
  EXPAND2
  .endr
  subs r3, r3, #12
  bge 1b
2:
  adds r3, r3, #12
  beq 4f
3:
  ldr r4, [r0], #4
  ldr r6, [r1], #4
  MIDDLE r5, r4, r6
  stmia r2!, {r4-r6}
  subs r3, r3, #1
  bne 3b
4:
  pop {r4-r10, pc}
END_FUNCTION vit_dsp_expand

// ---- vit_dsp_expand_values: 10 instructions for twelve values ----------------------------------
// r0 r1 r2 the three channels, r3 = out, r4 = quads.

.macro EXPAND_VALUES
  ldr r12, [r0], #4
  ldr r5, [r1], #4
  ldr lr, [r2], #4
  sxtb16 r6, r12
  sxtb16 r7, r5
  sxtb16 r8, lr
  sxtb16 r9, r12, ror #8
  sxtb16 r10, r5, ror #8
  sxtb16 r11, lr, ror #8
  stmia r3!, {r6-r11}
.endm

BEGIN_FUNCTION vit_dsp_expand_values
  push {r4-r11, lr}
  ldr r4, [sp, #36]
  REPEAT values, r4, 8, EXPAND_VALUES
  pop {r4-r11, pc}
END_FUNCTION vit_dsp_expand_values

#endif  // VIT_DSP_ASM
