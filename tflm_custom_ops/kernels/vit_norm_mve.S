// SPDX-License-Identifier: Apache-2.0
// LayerNorm of int8 tokens for Helium (vit_norm_mve.h).

#include "vit_gemm_mve_layout.h"

#if VIT_USE_MVE
#include "vit_mve_macros.h"

// GNU as 2.40 encodes VQSHRN as VQRSHRN, which rounds: \q = low or high halves of \m >> 8.
  .macro vqshrn_s32_8 high, q, m
  .inst.w 0xee980f40 | \high << 12 | \q << 13 | \m << 1
  .endm

// r0 x, r1 how many, r2 the sum and the sum of squares.
  function vit_mve_sums8
  push {r4, lr}
  movs r4, #0
  mov r12, r4
  dlstp.8 lr, r1
1:
  vldrb.u8 q0, [r0], #16
  vaddva.s8 r4, q0
  vmladava.s8 r12, q0, q0
  letp lr, 1b
  strd r4, r12, [r2]
  pop {r4, pc}
  .size vit_mve_sums8, . - vit_mve_sums8

// Even elements in one register, odd ones in another, so that two narrowing shifts put them in
// order.
  function vit_mve_normalize8
  push {r4, lr}
  vpush {d8-d11}
  ldrd r1, r2, [r0, #16]
  ldr r3, [r0, #24]
  vdup.32 q4, r1
  vdup.32 q5, r3
  mov r4, r2
  ldr lr, [r0, #28]
  ldrd r2, r3, [r0, #8]
  ldrd r0, r1, [r0, #0]
  dls lr, lr
1:
  vldrb.s16 q0, [r0], #8
  vmovlt.s16 q1, q0
  vmovlb.s16 q0, q0
  vmlas.s32 q0, q4, r4
  vmlas.s32 q1, q4, r4
  vld20.32 {q2, q3}, [r2]
  vld21.32 {q2, q3}, [r2]!
  vrmulh.s32 q0, q0, q5
  vrmulh.s32 q1, q1, q5
  vrmulh.s32 q0, q0, q2
  vrmulh.s32 q1, q1, q3
  vld20.32 {q2, q3}, [r3]
  vld21.32 {q2, q3}, [r3]!
  vadd.i32 q0, q0, q2
  vadd.i32 q1, q1, q3
  vqshrn_s32_8 0, 2, 0
  vqshrn_s32_8 1, 2, 1
  vqmovnb.s16 q2, q2
  vstrb.16 q2, [r1], #8
  le lr, 1b
  vpop {d8-d11}
  pop {r4, pc}
  .size vit_mve_normalize8, . - vit_mve_normalize8

#endif  // VIT_USE_MVE
