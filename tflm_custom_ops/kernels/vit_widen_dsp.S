// SPDX-License-Identifier: Apache-2.0
// int8 to int16 on a core with the DSP extension. vit_widen_dsp.h has the contracts.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#include "vit_gemm_dsp_macros.h"

// ---- vit_dsp_widen_values: 7 instructions for eight values -------------------------------------

.macro WIDEN_VALUES
  ldr r4, [r0], #4
  ldr r5, [r1], #4
  sxtb16 r6, r4
  sxtb16 r7, r5
  sxtb16 r8, r4, ror #8
  sxtb16 r9, r5, ror #8
  stmia r3!, {r6-r9}
.endm

BEGIN_FUNCTION vit_dsp_widen_values
  push {r4-r9}
  REPEAT values, r2, 8, WIDEN_VALUES
  pop {r4-r9}
  bx lr
END_FUNCTION vit_dsp_widen_values

// ---- vit_dsp_widen_group: 22 instructions for twelve values ------------------------------------
// r0 r1 r2 the three rows, r3 the tile, r4 the zero points, r5 quads.

.macro WIDEN_ROW row, low, high
  ldr \low, [\row], #4
  sxtb16 r12, \low
  sxtb16 lr, \low, ror #8
  ssub16 r12, r12, r4
  ssub16 lr, lr, r4
  pkhbt \low, r12, lr, lsl #16
  pkhtb \high, lr, r12, asr #16
.endm

.macro WIDEN_GROUP
  WIDEN_ROW r0, r6, r9
  WIDEN_ROW r1, r7, r10
  WIDEN_ROW r2, r8, r11
  stmia r3!, {r6-r11}
.endm

BEGIN_FUNCTION vit_dsp_widen_group
  push {r4-r11, lr}
  mov r4, r2
  ldr r5, [sp, #36]
  add r2, r0, r1, lsl #1
  add r1, r0, r1
  REPEAT group, r5, 2, WIDEN_GROUP
  pop {r4-r11, pc}
END_FUNCTION vit_dsp_widen_group

#endif  // VIT_DSP_ASM
