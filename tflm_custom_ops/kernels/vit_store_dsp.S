// SPDX-License-Identifier: Apache-2.0
// Stores of a pair of channels from int32 sums [row][2] that are too long for the matrix cores'
// epilogues: the residual add, and keys packed in token pairs. vit_store_dsp.h has the contracts.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#include "vit_gemm_dsp_macros.h"

// ---- void vit_dsp_residual_8(const VitDspResidual* r), ..._16 ----------------------------------
// y = sat((offset + sum * multiplier + (x << shift) * in_multiplier) >> 32). 11 instructions for an
// element; y lies `delta` bytes after x.

#define SUMS r0
#define IN r1
#define DELTA r2
#define STEP r3
#define OFFSET_LOW r6
#define OFFSET_HIGH r7
#define IN_MULTIPLIER r8
#define SHIFT r9

.macro ADD_ONE load, store, bits, multiplier, writeback:vararg
  ldr r12, [SUMS], #4
  \load lr, \writeback
  mov r10, OFFSET_LOW
  mov r11, OFFSET_HIGH
  lsl lr, lr, SHIFT
  smlal r10, r11, r12, \multiplier
  smlal r10, r11, lr, IN_MULTIPLIER
  ssat r11, #\bits, r11
  \store r11, [IN, DELTA]
.endm

.macro RESIDUAL name, load, store, bits, bytes
BEGIN_FUNCTION \name
  push {r0, r4-r11, lr}
  ldr r12, [r0, #40]
  ldm r0, {r0-r9}
  str r12, [sp]  // sums end
1:
  ADD_ONE \load, \store, \bits, r4, [IN]
  ADD_ONE \load, \store, \bits, r5, [IN, #\bytes]!
  ldr r12, [sp]
  add IN, IN, STEP
  cmp SUMS, r12
  bne 1b
  pop {r0, r4-r11, pc}
END_FUNCTION \name
.endm

RESIDUAL vit_dsp_residual_8, ldrsb, strb, 8, 1
RESIDUAL vit_dsp_residual_16, ldrsh, strh, 16, 2

// ---- void vit_dsp_keys(const VitDspKeys* k) ----------------------------------------------------
// Two tokens x two channels: [-127, 127] by a saturating subtraction and an addition of 1 to four
// bytes at once, then w0 + 256 w1 in both halves. 20 instructions for four elements.

BEGIN_FUNCTION vit_dsp_keys
  push {r4-r11, lr}
  ldm r0, {r0-r6}  // sums, out, stride, multipliers, zero point, sums end
  mov r12, #0x01010101
1:
  ldmia r0!, {r8-r11}
  smmlar r8, r8, r3, r5
  smmlar r9, r9, r4, r5
  smmlar r10, r10, r3, r5
  smmlar r11, r11, r4, r5
  ssat r8, #8, r8
  ssat r9, #8, r9
  ssat r10, #8, r10
  ssat r11, #8, r11
  bfi r8, r10, #8, #8
  bfi r9, r11, #8, #8
  pkhbt r8, r8, r9, lsl #16
  qsub8 r8, r8, r12
  sadd8 r8, r8, r12
  sxtb16 r9, r8
  bic r8, r8, #0x00FF00FF
  sadd16 r8, r8, r9
  str r8, [r1]
  add r1, r1, r2
  cmp r0, r6
  bne 1b
  pop {r4-r11, pc}
END_FUNCTION vit_dsp_keys

#endif  // VIT_DSP_ASM
