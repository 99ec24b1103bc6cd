// SPDX-License-Identifier: Apache-2.0
// Requantization of the sums [channel][row] of a Helium product (vit_gemm_mve.h). VRMULH is the
// rounded high half of the product: vit_mulh.

#include "vit_gemm_mve_layout.h"

#if VIT_USE_MVE
#include "vit_mve_macros.h"

// Four channels of four rows; the instruction that shifts is not needed for a shift of 0.
  .macro four_channels shift
  vld40.32 {q0, q1, q2, q3}, [r0]
  vld41.32 {q0, q1, q2, q3}, [r0]
  vld42.32 {q0, q1, q2, q3}, [r0]
  vld43.32 {q0, q1, q2, q3}, [r0]!
  vldrw.u32 q4, [r1], #16
  vldrw.u32 q5, [r2], #16
  .irp q, q0, q1, q2, q3
  vadd.i32 \q, \q, q4
  .endr
  .ifnb \shift
  .irp q, q0, q1, q2, q3
  vshl.s32 \q, \shift
  .endr
  .endif
  .irp q, q0, q1, q2, q3
  vrmulh.s32 \q, \q, q5
  .endr
  .irp q, q0, q1, q2, q3
  vadd.i32 \q, \q, r9
  .endr
  .irp q, q0, q1, q2, q3
  vmax.s32 \q, \q, q6
  .endr
  .irp q, q0, q1, q2, q3
  vmin.s32 \q, \q, q7
  .endr
  vstrb.32 q0, [r4], #4
  vstrb.32 q1, [r5], #4
  vstrb.32 q2, [r6], #4
  vstrb.32 q3, [r7], #4
  .endm

  function vit_mve_requant
  push {r4-r10, lr}
  vpush {d8-d15}
  ldrd r2, r3, [r1, #VIT_MVE_REQUANT_LOW]
  vdup.32 q6, r2
  vdup.32 q7, r3
  ldr lr, [r1, #VIT_MVE_REQUANT_QUADS]
  ldrd r4, r5, [r1, #VIT_MVE_REQUANT_OUT]
  ldrd r6, r7, [r1, #(VIT_MVE_REQUANT_OUT + 8)]
  ldrd r8, r9, [r1, #VIT_MVE_REQUANT_SHIFT]
  ldrd r1, r2, [r1, #0]
  dls lr, lr
  cmp r8, #0
  beq 3f
2:
  four_channels r8
  le lr, 2b
  b 4f
3:
  four_channels
  le lr, 3b
4:
  vpop {d8-d15}
  pop {r4-r10, pc}
  .size vit_mve_requant, . - vit_mve_requant

// One row after another: sums of four channels are 16 bytes apart. The rounded sum of two products
// a m + b n is VRMULH(a, m) + VMULH(b, n) + the carry of their low halves, (a m + 2^31) + b n.
  function vit_mve_residual
  push {r4-r11, lr}
  vpush {d8-d15}
  mov r12, r1
  ldrd r2, r3, [r12, #VIT_MVE_REQUANT_LOW]
  vdup.32 q5, r2
  vdup.32 q7, r3
  ldrd r5, r9, [r12, #VIT_MVE_REQUANT_SHIFT]
  ldrd r7, r8, [r12, #VIT_MVE_RESIDUAL_ZERO]
  ldrd r2, r10, [r12, #(VIT_MVE_RESIDUAL_ZERO + 8)]
  vdup.32 q6, r2
  mov r6, #0x80000000
  sub r0, r0, #64
1:
  movs r2, #0
  vidup.u32 q4, r2, #8
  vshl.i32 q4, q4, #1
  vadd.i32 q4, q4, r0
  ldrd r1, r2, [r12, #0]
  ldr r4, [r12, #VIT_MVE_REQUANT_OUT]
  ldr r3, [r12, #VIT_MVE_RESIDUAL_IN]
  ldr lr, [r12, #VIT_MVE_REQUANT_QUADS]
  dls lr, lr
2:
  vldrw.u32 q0, [q4, #64]!
  vldrw.u32 q1, [r1], #16
  vadd.i32 q0, q0, q1
  vldrw.u32 q1, [r2], #16
  vshl.s32 q0, r5
  vldrb.s32 q2, [r3], #4
  vrmulh.s32 q3, q0, q1
  vsub.i32 q2, q2, r7
  vmlas.s32 q0, q1, r6
  vshl.s32 q2, r8
  vmulh.s32 q1, q2, q6
  vmul.i32 q2, q2, q6
  vadd.i32 q3, q3, q1
  vhadd.u32 q0, q0, q2
  vadd.i32 q3, q3, r9
  vshr.u32 q0, q0, #31
  vadd.i32 q3, q3, q0
  vmax.s32 q3, q3, q5
  vmin.s32 q3, q3, q7
  vstrb.32 q3, [r4], #4
  le lr, 2b
  ldr r1, [r12, #VIT_MVE_REQUANT_OUT]
  ldrd r2, r3, [r12, #VIT_MVE_RESIDUAL_IN]
  ldr r4, [r12, #(VIT_MVE_RESIDUAL_IN + 8)]
  add r2, r2, r3
  add r1, r1, r4
  str r2, [r12, #VIT_MVE_RESIDUAL_IN]
  str r1, [r12, #VIT_MVE_REQUANT_OUT]
  adds r0, r0, #4
  subs r10, r10, #1
  bne 1b
  vpop {d8-d15}
  pop {r4-r11, pc}
  .size vit_mve_residual, . - vit_mve_residual

// Channels are rows of the output: a register is one channel of four rows.
  function vit_mve_columns
  push {r4-r9, lr}
  ldrd r2, r3, [r1, #VIT_MVE_REQUANT_LOW]
  vdup.32 q2, r2
  vdup.32 q3, r3
  ldrd r6, r7, [r1, #VIT_MVE_REQUANT_SHIFT]
  ldrd r4, r5, [r1, #VIT_MVE_REQUANT_OUT]  // out[0], and the bytes between channels
  ldr r2, [r1, #(VIT_MVE_REQUANT_OUT + 8)]
  vctp.32 r2
  ldr lr, [r1, #VIT_MVE_REQUANT_QUADS]
  ldrd r2, r3, [r1, #0]
  dls lr, lr
1:
  vldrw.u32 q0, [r0], #16
  ldr r8, [r2], #4
  ldr r9, [r3], #4
  vadd.i32 q0, q0, r8
  vdup.32 q1, r9
  vshl.s32 q0, r6
  vrmulh.s32 q0, q0, q1
  vadd.i32 q0, q0, r7
  vmax.s32 q0, q0, q2
  vmin.s32 q0, q0, q3
  vpst
  vstrbt.32 q0, [r4]
  add r4, r4, r5
  le lr, 1b
  pop {r4-r9, pc}
  .size vit_mve_columns, . - vit_mve_columns

// r0 table, r1 bytes, r2 how many.
  function vit_mve_table
  push {lr}
  dlstp.8 lr, r2
1:
  vldrb.u8 q0, [r1]
  vldrb.u8 q1, [r0, q0]
  vstrb.8 q1, [r1], #16
  letp lr, 1b
  pop {pc}
  .size vit_mve_table, . - vit_mve_table

#endif  // VIT_USE_MVE
