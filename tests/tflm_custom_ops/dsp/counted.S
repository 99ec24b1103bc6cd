// SPDX-License-Identifier: Apache-2.0
// Functions whose instructions can be counted by hand: the emulator's counts are checked with them.
  .syntax unified
  .thumb
  .text

// 4 + 3 n instructions.
  .global counted_loop
  .thumb_func
  .type counted_loop, %function
counted_loop:
  push {r4, lr}
  mov r4, #0
1:
  add.w r4, r4, #1
  subs r0, #1
  bne 1b
  mov r0, r4
  pop {r4, pc}
  .size counted_loop, . - counted_loop

// 5 instructions, whether the middle one runs or is skipped.
  .global counted_it
  .thumb_func
  .type counted_it, %function
counted_it:
  cmp r0, #0
  it gt
  movgt r0, #7
  nop.w
  bx lr
  .size counted_it, . - counted_it
