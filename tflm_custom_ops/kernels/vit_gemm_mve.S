// SPDX-License-Identifier: Apache-2.0
// int8 matrix product for Helium: 4 rows x 2 channels, 6 loads and 8 VMLADAVA for 128 products.
//
// VMLADAVA accumulates into even registers, of which there are eight with LR; the odd ones point to
// rows and weights. No register is left to count with, so that the inputs are straight code, which
// is entered where the last of them begin. The stack pointer is where the sums go: PUSH stores a
// tile, [channel 0, 1][row 0..3], from the last two channels to the first.
//
//   s26 stack pointer after the prologue     s28 weights of the first two channels
//   s27 bytes from two channels to the next  s29 where a tile begins

#include "vit_gemm_mve_layout.h"

#if VIT_USE_MVE
#include "vit_mve_macros.h"

// One step of 16 inputs, `o` bytes from the rows' pointers and `w` from the weights'.
  .macro step op, o, w
  vldrw.u32 q0, [r1, #\o]
  vldrw.u32 q4, [r9, #\w]
  \op r0, q0, q4
  vldrw.u32 q5, [r11, #\w]
  \op r8, q0, q5
  vldrw.u32 q1, [r3, #\o]
  \op r2, q1, q4
  vldrw.u32 q2, [r5, #\o]
  \op r10, q1, q5
  vldrw.u32 q3, [r7, #\o]
  \op r4, q2, q4
  \op r12, q2, q5
  \op r6, q3, q4
  \op lr, q3, q5
  .endm
  .equ STEP_BYTES, 14 * 4
  .equ BEGIN_BYTES, STEP_BYTES + 4
// Offsets of steps reach 508 bytes either way: the pointers are in the middle of the code's inputs.
  .equ MIDDLE, VIT_MVE_STEPS / 2
  .equ COMMON_STEPS, 12
  .equ TILE_BYTES, 2 * 16 * COMMON_STEPS

  function vit_mve_gemm
  push {r4-r11, lr}
  vpush {d8-d15}
  sub sp, sp, #12
  str r0, [sp]
  mov r4, sp
  vmov s26, r4
  ldr r2, [r0, #VIT_MVE_GEMM_STEPS]
  lsl r8, r2, #4
  sub r8, r8, #(MIDDLE * 16)
  ldrd r1, r3, [r0, #0]
  ldrd r5, r7, [r0, #8]
  ldrd r9, r4, [r0, #VIT_MVE_GEMM_LAST]
  ldr r10, [r0, #VIT_MVE_GEMM_STRIDE]
  add r1, r1, r8
  add r3, r3, r8
  add r5, r5, r8
  add r7, r7, r8
  add r9, r9, r8
  add r4, r4, r8
  vmov s28, r4
  add r11, r9, r10
  lsl r10, r10, #1
  vmov s27, r10
  cmp r2, #COMMON_STEPS
  it eq
  cmpeq r10, #TILE_BYTES
  bne 1f
  sub r6, r9, r4  // an odd multiple of 3 * 128 where the tiles are an even number
  tst r6, #128
  bne common_begins
1:
  sub r2, r2, #1
  movs r6, #BEGIN_BYTES
  mul r2, r2, r6
  adr r6, begins
  add r2, r2, r6
  orr r2, r2, #1
  vmov s29, r2
  bx r2

// The first step of a tile, of 1 .. VIT_MVE_STEPS steps; the others follow in `steps`.
  .balign 4
begins:
  .set n, 1
  .rept VIT_MVE_STEPS
  step vmladav.s8, ((VIT_MVE_STEPS - n - MIDDLE) * 16), ((VIT_MVE_STEPS - n - MIDDLE) * 16)
  b.w steps + (VIT_MVE_STEPS + 1 - n) * STEP_BYTES
  .set n, n + 1
  .endr
steps:
  .set n, 0
  .rept VIT_MVE_STEPS
  step vmladava.s8, ((n - MIDDLE) * 16), ((n - MIDDLE) * 16)
  .set n, n + 1
  .endr
  push {r0, r2, r4, r6, r8, r10, r12, lr}
  vmov r0, r2, s28, s29
  cmp r9, r0
  beq taken
  vmov r0, s27
  sub r9, r9, r0
  sub r11, r11, r0
  bx r2
taken:
  vmov r4, s26
  ldr r2, [r4]
  mov r0, sp
  ldrd r1, r2, [r2, #VIT_MVE_GEMM_CONTEXT]
  blx r2
  mov sp, r4
  add sp, sp, #12
  vpop {d8-d15}
  pop {r4-r11, pc}

// The commonest layer, of 192 inputs: two tiles a turn, the weights of the second one at offsets.
  .balign 4
common_begins:
  add r4, r4, #TILE_BYTES
  vmov s28, r4
common:
  .set w, 0
  .rept 2
  .set n, VIT_MVE_STEPS - COMMON_STEPS - MIDDLE
  step vmladav.s8, (n * 16), (n * 16 - w)
  .rept COMMON_STEPS - 1
  .set n, n + 1
  step vmladava.s8, (n * 16), (n * 16 - w)
  .endr
  push {r0, r2, r4, r6, r8, r10, r12, lr}
  .set w, w + TILE_BYTES
  .endr
  vmov r0, s28
  cmp r9, r0
  sub r9, r9, #(2 * TILE_BYTES)
  sub r11, r11, #(2 * TILE_BYTES)
  bne common
  b taken
  .size vit_mve_gemm, . - vit_mve_gemm

#endif  // VIT_USE_MVE
