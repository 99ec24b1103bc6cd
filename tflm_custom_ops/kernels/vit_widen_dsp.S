// SPDX-License-Identifier: Apache-2.0
// int8 to int16 on a core with the DSP extension. vit_widen_dsp.h has the contracts.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#include "vit_gemm_dsp_macros.h"

// ---- vit_dsp_widen_group: 15 instructions for eight values, 11 without zero points -------------
// r0 r1 the two rows, r2 the tile, r3 the zero points, r4 quads.

.macro WIDEN_ROW row, low, high, subtract
  ldr \low, [\row], #4
  sxtb16 r12, \low
  sxtb16 lr, \low, ror #8
  .if \subtract
  ssub16 r12, r12, r3
  ssub16 lr, lr, r3
  .endif
  pkhbt \low, r12, lr, lsl #16
  pkhtb \high, lr, r12, asr #16
.endm

.macro WIDEN_GROUP subtract
  WIDEN_ROW r0, r6, r8, \subtract
  WIDEN_ROW r1, r7, r9, \subtract
  stmia r2!, {r6-r9}
.endm

BEGIN_FUNCTION vit_dsp_widen_group
  push {r4, r6-r9, lr}
  mov r12, r2
  ldr r4, [sp, #24]
  mov r2, r3
  mov r3, r12
  add r1, r0, r1
  cmp r3, #0
  bne.w widen_shifted
  REPEAT group, r4, 4, WIDEN_GROUP, 0
  pop {r4, r6-r9, pc}
widen_shifted:
  REPEAT shifted_group, r4, 4, WIDEN_GROUP, 1
  pop {r4, r6-r9, pc}
END_FUNCTION vit_dsp_widen_group

#endif  // VIT_DSP_ASM
