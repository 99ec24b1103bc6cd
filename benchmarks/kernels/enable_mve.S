// SPDX-License-Identifier: Apache-2.0
// Before the first kernel: access to Helium, which a core does not have after reset. Functions
// return to kernels_back.
  .syntax unified
  .thumb
  .section .text.kernels_enable, "ax", %progbits
  .global kernels_enable
  .type kernels_enable, %function
  .thumb_func
kernels_enable:
  ldr r0, =0xE000ED88  // CPACR
  ldr r1, [r0]
  orr r1, r1, #0xF00000
  str r1, [r0]
  dsb
  isb
  bx lr
  .pool

  .global kernels_back
  .type kernels_back, %function
  .thumb_func
kernels_back:
  b .
