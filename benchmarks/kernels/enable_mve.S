// SPDX-License-Identifier: Apache-2.0
// Before the first kernel: access to Helium, which a core does not have after reset. Around each:
// numbers in the vector registers that a function has to keep. Functions return to kernels_back.
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

// D8 to D15 from r0 on.
  .global kernels_fill
  .type kernels_fill, %function
  .thumb_func
kernels_fill:
  vldmia r0, {d8-d15}
  bx lr

// ... and to r0.
  .global kernels_kept
  .type kernels_kept, %function
  .thumb_func
kernels_kept:
  vstmia r0, {d8-d15}
  bx lr

  .global kernels_back
  .type kernels_back, %function
  .thumb_func
kernels_back:
  b .
