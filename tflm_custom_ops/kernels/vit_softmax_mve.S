// SPDX-License-Identifier: Apache-2.0
// Exponentials x values for Helium: 3 rows x 2 channels, 8 tokens a turn; the loop leaves out the
// lanes behind the last token by itself.
#include "vit_gemm_mve_layout.h"

#if VIT_USE_MVE
#include "vit_mve_macros.h"

  function vit_mve_weighted
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

// The same for up to VIT_MVE_WEIGHTED_TOKENS tokens: 4 rows x 2 channels in straight code, as
// vit_mve_gemm, with whose argument and registers; `steps` is the number of tokens. The last step
// loads the values that are left only.
  .macro step o, t
  vldrw.u32 q0, [r5, #(2 * \o)]
  .ifnb \t
  vpstt
  .endif
  vldrb\t\().s16 q4, [r1, #\o]
  vldrb\t\().s16 q5, [r3, #\o]
  vmladava.s16 r0, q0, q4
  vmladava.s16 r8, q0, q5
  vldrw.u32 q1, [r7, #(2 * \o)]
  vmladava.s16 r2, q1, q4
  vldrw.u32 q2, [r9, #(2 * \o)]
  vmladava.s16 r10, q1, q5
  vldrw.u32 q3, [r11, #(2 * \o)]
  vmladava.s16 r4, q2, q4
  vmladava.s16 r12, q2, q5
  vmladava.s16 r6, q3, q4
  vmladava.s16 lr, q3, q5
  .endm
  .equ MIDDLE, 15
  .equ WHOLE, VIT_MVE_WEIGHTED_TOKENS / 8 - 1

  function vit_mve_weighted4
  push {r4-r11, lr}
  vpush {d8-d15}
  sub sp, sp, #12
  str r0, [sp]
  mov r4, sp
  vmov s26, r4
  ldr r2, [r0, #VIT_MVE_GEMM_STEPS]
  sub r2, r2, #1
  lsr r8, r2, #3           // whole steps
  and r2, r2, #7
  add r2, r2, #1
  vctp.16 r2
  rsb r2, r8, #WHOLE
  movs r6, #56
  mul r2, r2, r6
  adr r6, 4f
  add r2, r2, r6
  orr r2, r2, #1
  vmov s29, r2
  sub r8, r8, #MIDDLE
  lsl r6, r8, #4
  lsl r10, r8, #3
  ldrd r5, r7, [r0, #0]
  ldrd r9, r11, [r0, #8]
  add r5, r5, r6
  add r7, r7, r6
  add r9, r9, r6
  add r11, r11, r6
  ldrd r1, r4, [r0, #VIT_MVE_GEMM_LAST]
  ldr r8, [r0, #VIT_MVE_GEMM_STRIDE]
  add r1, r1, r10
  add r4, r4, r10
  vmov s28, r4
  add r3, r1, r8
  lsl r8, r8, #1
  vmov s27, r8
3:
  vmov r0, s29
  push {r0}
  movs r0, #0
  movs r2, #0
  movs r4, #0
  movs r6, #0
  mov r8, r0
  mov r10, r0
  mov r12, r0
  mov lr, r0
  pop {pc}
  .balign 4
4:
  .set n, 0
  .rept WHOLE
  step ((n - MIDDLE) * 8)
  .set n, n + 1
  .endr
  step ((n - MIDDLE) * 8), t
  push {r0, r2, r4, r6, r8, r10, r12, lr}
  vmov r0, r2, s27, s28
  cmp r1, r2
  sub r1, r1, r0
  sub r3, r3, r0
  bne 3b
  vmov r4, s26
  ldr r2, [r4]
  mov r0, sp
  ldrd r1, r2, [r2, #VIT_MVE_GEMM_CONTEXT]
  blx r2
  mov sp, r4
  add sp, sp, #12
  vpop {d8-d15}
  pop {r4-r11, pc}
  .size vit_mve_weighted4, . - vit_mve_weighted4
#endif  // VIT_USE_MVE
