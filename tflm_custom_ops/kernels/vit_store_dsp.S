// SPDX-License-Identifier: Apache-2.0
// The residual add of four channels from int32 sums [row][4], which is too long for the matrix
// core's epilogue. vit_store_dsp.h has the contract.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#include "vit_gemm_dsp_macros.h"

// ---- void vit_dsp_residual_8(const VitDspResidual* r), ..._16 ----------------------------------
// y = sat((offset + sum * multiplier + (x << shift) * in_multiplier) >> 32). Nine instructions for
// an element and five for a row; y lies `delta` bytes after x.

#define SUMS r0
#define IN r1
#define DELTA r2
#define OFFSET_LOW r7
#define OFFSET_HIGH r8
#define IN_MULTIPLIER r9
#define SHIFT r10

.macro ADD_ONE load, store, bits, multiplier, at
  ldr lr, [SUMS], #4
  mov r11, OFFSET_LOW
  mov r12, OFFSET_HIGH
  smlal r11, r12, lr, \multiplier
  \load lr, [IN, #\at]!
  lsl lr, lr, SHIFT
  smlal r11, r12, lr, IN_MULTIPLIER
  ssat r12, #\bits, r12
  \store r12, [IN, DELTA]
.endm

.macro RESIDUAL name, load, store, bits, bytes
BEGIN_FUNCTION \name
  push {r4-r11, lr}
  ldrd r11, r12, [r0, #44]
  push {r11, r12}  // bytes from a row's last channel to the next row's first, end of the sums
  ldm r0, {r0-r10}
1:
  ADD_ONE \load, \store, \bits, r3, 0
  ADD_ONE \load, \store, \bits, r4, \bytes
  ADD_ONE \load, \store, \bits, r5, \bytes
  ADD_ONE \load, \store, \bits, r6, \bytes
  ldrd r11, r12, [sp]
  add IN, IN, r11
  cmp SUMS, r12
  bne 1b
  add sp, sp, #8
  pop {r4-r11, pc}
END_FUNCTION \name
.endm

RESIDUAL vit_dsp_residual_8, ldrsb, strb, 8, 1
RESIDUAL vit_dsp_residual_16, ldrsh, strh, 16, 2

#endif  // VIT_DSP_ASM
