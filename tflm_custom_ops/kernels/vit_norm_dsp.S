// SPDX-License-Identifier: Apache-2.0
// Second pass of the LayerNorm (docs/operators.md) on a core with the DSP extension, two elements
// at a time. vit_norm_dsp.h has the contract.

#include "vit_gemm_dsp_layout.h"

#if VIT_DSP_ASM

#include "vit_gemm_dsp_macros.h"

#define X r0
#define OUT r1
#define GAMMA r2
#define BETA r3
#define SCALE r4
#define OFFSET r5
#define RECIPROCAL r6
#define PAIRS r7

// 14 instructions for two elements.
.macro NORMALIZE_PAIR load, bytes, store
  \load r8, [X], #\bytes
  \load r9, [X], #\bytes
  ldrd r10, r11, [GAMMA], #8
  ldrd r12, lr, [BETA], #8
  mla r8, r8, SCALE, OFFSET
  mla r9, r9, SCALE, OFFSET
  smmulr r8, r8, RECIPROCAL
  smmulr r9, r9, RECIPROCAL
  smmlar r8, r8, r10, r12
  smmlar r9, r9, r11, lr
  ssat r8, #8, r8, asr #8
  ssat r9, #8, r9, asr #8
  \store
.endm

.macro STORE_TILE
  pkhbt r8, r8, r9, lsl #16
  str r8, [OUT], #8
.endm

.macro STORE_BYTES
  strb r8, [OUT], #1
  strb r9, [OUT], #1
.endm

.macro NORMALIZE_8 store
  NORMALIZE_PAIR ldrsb, 1, \store
.endm

.macro NORMALIZE_16 store
  NORMALIZE_PAIR ldrsh, 2, \store
.endm

.macro NORMALIZE name, body, store
BEGIN_FUNCTION \name
  push {r4-r11, lr}
  ldm r0, {r0-r7}
  REPEAT \name\()_pairs, PAIRS, 4, \body, \store
  pop {r4-r11, pc}
END_FUNCTION \name
.endm

NORMALIZE vit_dsp_normalize_8_tile, NORMALIZE_8, STORE_TILE
NORMALIZE vit_dsp_normalize_16_tile, NORMALIZE_16, STORE_TILE
NORMALIZE vit_dsp_normalize_8_bytes, NORMALIZE_8, STORE_BYTES
NORMALIZE vit_dsp_normalize_16_bytes, NORMALIZE_16, STORE_BYTES

#endif  // VIT_DSP_ASM
