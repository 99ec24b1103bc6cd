// SPDX-License-Identifier: Apache-2.0
// What the assembly files share: functions, loops, the matrix core's frame, tables of labels. Only
// for the assembler.
// clang-format off
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_MACROS_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_MACROS_H_

#include "vit_gemm_dsp_layout.h"

  .syntax unified
  .thumb

.macro BEGIN_FUNCTION name
  .section .text.\name, "ax", %progbits
  .p2align 2
  .global \name
  .thumb_func
  .type \name, %function
\name:
.endm

.macro END_FUNCTION name
  .size \name, . - \name
.endm

// \counter bodies, `many` at a time, then the rest one by one. Clobbers \counter.
.macro REPEAT name, counter, many, body, argument
  subs \counter, \counter, #\many
  blt.w \name\()_rest
\name\()_many:
  .rept \many
  \body \argument
  .endr
  subs \counter, \counter, #\many
  bge.w \name\()_many
\name\()_rest:
  adds \counter, \counter, #\many
  beq.w \name\()_end
\name\()_one:
  \body \argument
  subs \counter, \counter, #1
  bne.w \name\()_one
\name\()_end:
.endm

// Copies the job (r0) to the stack, so that SP addresses it and no register does. Clobbers r0-r8,
// r12.
.macro ENTER
  push {r4-r11, lr}
  sub sp, sp, #VIT_DSP_JOB_BYTES
  mov r12, sp
  .rept VIT_DSP_JOB_BYTES / 32
  ldmia r0!, {r1-r8}
  stmia r12!, {r1-r8}
  .endr
  ldr lr, [sp, #VIT_DSP_JOB_RUNNING]
.endm

.macro LEAVE
  add sp, sp, #VIT_DSP_JOB_BYTES
  pop {r4-r11, pc}
.endm

// Code addresses for vit_gemm_dsp.c (VitDspLabels), Thumb bit set.
.macro BEGIN_LABELS name
  .section .rodata.\name, "a", %progbits
  .p2align 2
  .global \name
  .type \name, %object
\name:
.endm

#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_MACROS_H_
