// SPDX-License-Identifier: Apache-2.0
// A row of exponentials, and the division of a context's sums, for Helium (vit_softmax_mve.h).

#include "vit_gemm_mve_layout.h"

#if VIT_USE_MVE
#include "vit_mve_macros.h"

// Eight exponentials to q2: VMLAS is (s - maximum) << shift, and the multiplier is negated.
  .macro eight
  vld20.32 {q0, q1}, [r1]
  vld21.32 {q0, q1}, [r1]!
  vmlas.s32 q0, q6, r7
  vmlas.s32 q1, q6, r7
  vrmulh.s32 q0, q0, q4
  vrmulh.s32 q1, q1, q4
  vqmovunb.s32 q0, q0
  vqmovunt.s32 q0, q1
  vmin.u16 q0, q0, q5
  vmovlb.u8 q1, q0
  vshr.u16 q0, q0, #8
  vldrh.u16 q2, [r3, q1, uxtw #1]
  vneg.s16 q0, q0
  vshl.u16 q2, q2, q0
  vstrh.16 q2, [r2], #16
  .endm

  function vit_mve_exponential_row
  push {r4-r8, lr}
  vpush {d8-d13}
  ldm r0, {r1-r6}
  mov r7, r1
  vldrw.u32 q0, [r7], #16
  vldrw.u32 q1, [r7], #16
  vldrw.u32 q2, [r7], #16
  vldrw.u32 q3, [r7], #16
  sub r8, r6, #16
  add r12, r1, r8, lsl #2
  lsr r8, r8, #4
  wls lr, r8, 2f
1:
  .irp q, q0, q1, q2, q3
  vldrw.u32 q4, [r7], #16
  vmax.s32 \q, \q, q4
  .endr
  le lr, 1b
2:  // the last 16 scores, some of them again
  .irp q, q0, q1, q2, q3
  vldrw.u32 q4, [r12], #16
  vmax.s32 \q, \q, q4
  .endr
  vmax.s32 q0, q0, q1
  vmax.s32 q2, q2, q3
  vmax.s32 q0, q0, q2
  mov r7, #0x80000000
  vmaxv.s32 r7, q0
  vdup.32 q4, r4
  movw r4, #8191
  vdup.16 q5, r4
  movs r4, #1
  lsl r4, r4, r5
  vdup.32 q6, r4
  lsl r7, r7, r5
  rsb r7, r7, #0
  movs r4, #0
  lsr lr, r6, #3
  dls lr, lr
3:
  eight
  vaddva.u16 r4, q2
  le lr, 3b
  ands r8, r6, #7
  beq 4f
  rsb r5, r8, #8  // lanes of the last eight that are done
  sub r1, r1, r5, lsl #2
  sub r2, r2, r5, lsl #1
  eight
  vctp.16 r5
  vpst
  vmovt.i32 q2, #0
  vaddva.u16 r4, q2
  rsb r5, r6, #0
  ands r5, r5, #3
  beq 4f
  vmov.i32 q2, #0
  vctp.16 r5
  vpst
  vstrht.16 q2, [r2]
4:
  mov r0, r4
  vpop {d8-d13}
  pop {r4-r8, pc}
  .size vit_mve_exponential_row, . - vit_mve_exponential_row

// The rounding shift to 16 bits is what the definition adds 2^15 for.
  function vit_mve_divide
  push {r4-r6, lr}
  movs r2, #0
  vidup.u32 q2, r2, #8
  vshl.i32 q2, q2, #1
  ldm r0, {r0-r6}
  sub r0, r0, #64
  vadd.i32 q2, q2, r0
  vdup.32 q1, r3
  dls lr, r6
1:
  vldrw.u32 q0, [q2, #64]!
  vadd.i32 q0, q0, r1
  vshl.s32 q0, r2
  vrmulh.s32 q0, q0, q1
  vadd.i32 q0, q0, r4
  vqrshrnb.s32 q0, q0, #16
  vqmovnb.s16 q0, q0
  vstrb.32 q0, [r5], #4
  le lr, 1b
  pop {r4-r6, pc}
  .size vit_mve_divide, . - vit_mve_divide

#endif  // VIT_USE_MVE
