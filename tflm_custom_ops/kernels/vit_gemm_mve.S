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
//
// Who takes the sums works on whole fours of channels and may write there: behind the last two
// channels there is room for two more.
//
// Of 4 bits a byte has two channels, b = 16 m + n for the numbers n, m of the first and the second.
// A shift gives 16 n, the first one's weight, which is a load less; the product of b is that of the
// second one's 16 m and of n: a sixteenth of the first one's sum too much, taken off a tile's sums.

#include "vit_gemm_mve_layout.h"

#if VIT_USE_MVE
#include "vit_mve_macros.h"

// One step of 16 inputs, `o` bytes from the rows' pointers and `w` from the weights'.
  .macro step bits, op, o, w
  vldrw.u32 q0, [r1, #\o]
  vldrw.u32 q4, [r9, #\w]
  .if \bits == 8
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
  .else
  \op r8, q0, q4
  vshl.i8 q5, q4, #4
  \op r0, q0, q5
  vldrw.u32 q1, [r3, #\o]
  \op r10, q1, q4
  vldrw.u32 q2, [r5, #\o]
  \op r2, q1, q5
  vldrw.u32 q3, [r7, #\o]
  \op r12, q2, q4
  \op r4, q2, q5
  \op lr, q3, q4
  \op r6, q3, q5
  .endif
  .endm
  .equ STEP_BYTES, 14 * 4
  .equ BEGIN_BYTES, STEP_BYTES + 4
  .equ ROOM_BYTES, 2 * 4 * VIT_MVE_ROWS + 12  // the first word holds the argument until then
// Offsets of steps reach 508 bytes either way: the pointers are in the middle of the code's inputs.
  .equ MIDDLE, VIT_MVE_STEPS / 2
  .equ COMMON_STEPS, 12

// The sums of a tile onto the stack.
  .macro put bits
  .if \bits == 4
  sub r8, r8, r0, asr #4
  sub r10, r10, r2, asr #4
  sub r12, r12, r4, asr #4
  sub lr, lr, r6, asr #4
  .endif
  push {r0, r2, r4, r6, r8, r10, r12, lr}
  .endm

// `tile`: bytes of two channels of the commonest layer, of 192 inputs, an odd multiple of a power
// of two, `odd`.
  .macro product name, bits, tile, odd
  function \name
  push {r4-r11, lr}
  vpush {d8-d15}
  sub sp, sp, #ROOM_BYTES
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
  .if \bits == 8
  add r11, r9, r10
  lsl r10, r10, #1
  .endif
  vmov s27, r10
  cmp r2, #COMMON_STEPS
  it eq
  cmpeq r10, #\tile
  bne 1f
  sub r6, r9, r4  // an odd multiple of `odd` where the tiles are an even number
  tst r6, #\odd
  bne \name\()_common_begins
1:
  sub r2, r2, #1
  movs r6, #BEGIN_BYTES
  mul r2, r2, r6
  adr r6, \name\()_begins
  add r2, r2, r6
  orr r2, r2, #1
  vmov s29, r2
  bx r2

// The first step of a tile, of 1 .. VIT_MVE_STEPS steps; the others follow in `steps`.
  .balign 4
\name\()_begins:
  .set n, 1
  .rept VIT_MVE_STEPS
  step \bits, vmladav.s8, ((VIT_MVE_STEPS - n - MIDDLE) * 16), ((VIT_MVE_STEPS - n - MIDDLE) * 16)
  b.w \name\()_steps + (VIT_MVE_STEPS + 1 - n) * STEP_BYTES
  .set n, n + 1
  .endr
\name\()_steps:
  .set n, 0
  .rept VIT_MVE_STEPS
  step \bits, vmladava.s8, ((n - MIDDLE) * 16), ((n - MIDDLE) * 16)
  .set n, n + 1
  .endr
  put \bits
  vmov r0, r2, s28, s29
  cmp r9, r0
  beq \name\()_taken
  vmov r0, s27
  sub r9, r9, r0
  .if \bits == 8
  sub r11, r11, r0
  .endif
  bx r2
\name\()_taken:
  vmov r4, s26
  ldr r2, [r4]
  mov r0, sp
  ldrd r1, r2, [r2, #VIT_MVE_GEMM_CONTEXT]
  blx r2
  mov sp, r4
  add sp, sp, #ROOM_BYTES
  vpop {d8-d15}
  pop {r4-r11, pc}

// The commonest layer: two tiles a turn, the weights of the second one at offsets.
  .balign 4
\name\()_common_begins:
  add r4, r4, #\tile
  vmov s28, r4
\name\()_common:
  .set w, 0
  .rept 2
  .set n, VIT_MVE_STEPS - COMMON_STEPS - MIDDLE
  step \bits, vmladav.s8, (n * 16), (n * 16 - w)
  .rept COMMON_STEPS - 1
  .set n, n + 1
  step \bits, vmladava.s8, (n * 16), (n * 16 - w)
  .endr
  put \bits
  .set w, w + \tile
  .endr
  vmov r0, s28
  cmp r9, r0
  sub r9, r9, #(2 * \tile)
  .if \bits == 8
  sub r11, r11, #(2 * \tile)
  .endif
  bne \name\()_common
  b \name\()_taken
  .size \name, . - \name
  .endm

  product vit_mve_gemm, 8, (2 * 16 * COMMON_STEPS), 128
  product vit_quads4, 4, (16 * COMMON_STEPS), 64

#endif  // VIT_USE_MVE
