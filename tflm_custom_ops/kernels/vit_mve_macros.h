// SPDX-License-Identifier: Apache-2.0
// What the assembly for Helium has in common.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_MVE_MACROS_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_MVE_MACROS_H_

// clang-format off
  .syntax unified
  .thumb

// Begins a function in a section of its own.
  .macro function name
  .section .text.\name, "ax", %progbits
  .balign 4
  .global \name
  .type \name, %function
  .thumb_func
\name:
  .endm
// clang-format on

#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_MVE_MACROS_H_
