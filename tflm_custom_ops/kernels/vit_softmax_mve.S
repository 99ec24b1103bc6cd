// SPDX-License-Identifier: Apache-2.0
// Exponentials x values for Helium: 3 rows x 2 channels, 8 tokens a turn; the loop leaves out the
// lanes behind the last token by itself.
#include "vit_gemm_mve_layout.h"

#if VIT_USE_MVE
  .syntax unified
  .thumb
  .section .text.vit_mve_weighted, "ax", %progbits
  .balign 4
  .global vit_mve_weighted
  .type vit_mve_weighted, %function
  .thumb_func
vit_mve_weighted:
  push {r4-r12, lr}
  vpush {d8-d9}
  mov r12, r0            // the arguments
  ldr r3, [r12, #16]     // values
1:
  ldrd r1, r9, [r12, #0]
  ldrd r11, lr, [r12, #8]
  ldr r7, [r12, #20]
  mov r5, r3
  add r7, r7, r3
  movs r0, #0
  movs r2, #0
  movs r4, #0
  movs r6, #0
  mov r8, r0
  mov r10, r0
  dlstp.16 lr, lr
2:
  vldrb.s16 q3, [r5], #8
  vldrb.s16 q4, [r7], #8
  vldrh.u16 q0, [r1], #16
  vmladava.s16 r0, q0, q3
  vmladava.s16 r2, q0, q4
  vldrh.u16 q1, [r9], #16
  vmladava.s16 r4, q1, q3
  vmladava.s16 r6, q1, q4
  vldrh.u16 q2, [r11], #16
  vmladava.s16 r8, q2, q3
  vmladava.s16 r10, q2, q4
  letp lr, 2b
  ldr r1, [r12, #28]
  stm r1!, {r0, r2, r4, r6, r8, r10}
  str r1, [r12, #28]
  ldrd r7, r9, [r12, #20]
  add r3, r3, r7, lsl #1
  subs r9, r9, #1
  str r9, [r12, #24]
  bne 1b
  vpop {d8-d9}
  pop {r4-r12, pc}
  .size vit_mve_weighted, . - vit_mve_weighted
#endif  // VIT_USE_MVE
