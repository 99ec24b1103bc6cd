// SPDX-License-Identifier: Apache-2.0
// Reset: paints the stack, fills ITCM, .data and .bss, enables the FPU, calls system_init and main.
// In assembly because the stack is painted while it is in use: no call may happen before it is done.

  .syntax unified
  .thumb

// The pattern that stack_high_water_bytes() and the emulator look for.
  .equ STACK_PAINT, 0xA5A5A5A5
// SCB->CPACR: full access to CP10 and CP11 (PM0253 section 4.7.1).
  .equ SCB_CPACR, 0xE000ED88

// Armv6-M has no post-indexed loads and stores.
  .macro load_next value, pointer
#if __ARM_ARCH >= 7
  ldr \value, [\pointer], #4
#else
  ldr \value, [\pointer]
  adds \pointer, #4
#endif
  .endm

  .macro store_next value, pointer
#if __ARM_ARCH >= 7
  str \value, [\pointer], #4
#else
  str \value, [\pointer]
  adds \pointer, #4
#endif
  .endm

  .macro copy_words from, to, end
  ldr r0, =\from
  ldr r1, =\to
  ldr r2, =\end
1:
  cmp r1, r2
  bhs 2f
  load_next r3, r0
  store_next r3, r1
  b 1b
2:
  .endm

  .section .text.reset_handler, "ax", %progbits
  .global reset_handler
  .type reset_handler, %function
  .thumb_func
reset_handler:
  // A debugger may start the image without resetting the core.
  ldr r2, =__stack_top
  mov sp, r2

  // Up to r2, not sp: assemblers warn of the latter in a comparison.
  ldr r0, =__stack_bottom
  ldr r1, =STACK_PAINT
paint:
  cmp r0, r2
  bhs paint_done
  store_next r1, r0
  b paint
paint_done:

  copy_words __itcm_load, __itcm_start, __itcm_end
  copy_words __data_load, __data_start, __data_end

  ldr r0, =__bss_start
  ldr r1, =__bss_end
  movs r2, #0
zero:
  cmp r0, r1
  bhs zero_done
  store_next r2, r0
  b zero
zero_done:

#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  ldr r0, =SCB_CPACR
  ldr r1, [r0]
  orr r1, r1, #(0xF << 20)
  str r1, [r0]
#endif
  dsb
  isb

  // Constructors of C++ objects, if there are any.
  ldr r4, =__init_array_start
  ldr r5, =__init_array_end
construct:
  cmp r4, r5
  bhs construct_done
  load_next r0, r4
  blx r0
  b construct
construct_done:

  bl system_init
  bl main
hang:
  b hang
  .size reset_handler, . - reset_handler

// Faults: the stack may be what failed, so the report runs on a fresh one.
// r0 = stack pointer at the fault, r1 = exception number.
  .section .text.fault_handler, "ax", %progbits
  .global fault_handler
  .type fault_handler, %function
  .thumb_func
fault_handler:
  mov r0, sp
  mrs r1, ipsr
  ldr r2, =__stack_top
  mov sp, r2
  bl fault_report  // Does not return; Armv6-M has no B that reaches as far.
  .size fault_handler, . - fault_handler
