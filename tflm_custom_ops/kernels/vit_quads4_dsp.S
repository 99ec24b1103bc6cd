// SPDX-License-Identifier: Apache-2.0
// Weights of the matrix core's three streams from numbers of 4 bits, four channels in an int16.
// vit_weights.h has the contract.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#include "vit_gemm_dsp_macros.h"

// ---- vit_quads4: 16 instructions for 16 weights ------------------------------------------------
// r0 = quads, r1 = 0xF000F000, r2 = out, r3 = words of two inputs.

// w0, w1, w2, w3 of two inputs are 16 times the numbers in bits 0, 4, 8, 12 of each halfword. The
// top of a halfword holds 256 w; turned by a byte, its low byte is w.
.macro STREAMS t1, t2, t3, quads
  and r12, r1, \quads, lsl #12
  and \t1, r1, \quads, lsl #8
  and \t2, r1, \quads, lsl #4
  and \t3, r1, \quads
  sxtab16 \t3, \t3, \t2, ror #8  // w2 + 256 w3
  sxtab16 \t2, \t2, \t1, ror #8  // w1 + 256 w2
  sxtab16 \t1, \t1, r12, ror #8  // w0 + 256 w1
.endm

.macro QUADS2
  ldrd r4, r5, [r0], #8
  STREAMS r6, r7, r8, r4
  STREAMS r9, r10, r11, r5
  stmia r2!, {r6-r11}
.endm

BEGIN_FUNCTION vit_quads4
  push {r4-r11, lr}
  mov r1, #0xF000F000
  subs r3, r3, #6
  blt 2f
1:
  .rept 3
  QUADS2
  .endr
  subs r3, r3, #6
  bge 1b
2:
  adds r3, r3, #6
  beq 4f
3:
  ldr r4, [r0], #4
  STREAMS r6, r7, r8, r4
  stmia r2!, {r6-r8}
  subs r3, r3, #1
  bne 3b
4:
  pop {r4-r11, pc}
END_FUNCTION vit_quads4

#endif  // VIT_DSP_ASM
