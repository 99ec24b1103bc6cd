// SPDX-License-Identifier: Apache-2.0
// What C and assembly of the Helium kernels agree on.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_MVE_LAYOUT_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_MVE_LAYOUT_H_

// 1 where the Helium kernels are compiled: the core has them, and who builds the firmware says that
// the weights are in rows. Else such a core runs the DSP kernels, on pairs.
#if defined(VIT_WEIGHT_ROWS) && defined(__ARM_FEATURE_MVE) && defined(__GNUC__)
#define VIT_USE_MVE 1
#else
#define VIT_USE_MVE 0
#endif
#if defined(VIT_WEIGHT_ROWS) && !VIT_USE_MVE
#error "VIT_WEIGHT_ROWS is for cores with Helium; compile the model for this core"
#endif

#define VIT_MVE_ROWS 4               // rows that are multiplied together
#define VIT_MVE_STEPS 48             // steps of 16 inputs
#define VIT_MVE_WEIGHTED_TOKENS 248  // that vit_mve_weighted4 takes, a multiple of 8

// Byte offsets in VitMveGemm and VitMveRequant.
#define VIT_MVE_GEMM_LAST 16
#define VIT_MVE_GEMM_STRIDE 24
#define VIT_MVE_GEMM_STEPS 28
#define VIT_MVE_GEMM_CONTEXT 32
#define VIT_MVE_REQUANT_SHIFT 8
#define VIT_MVE_REQUANT_LOW 16
#define VIT_MVE_REQUANT_OUT 24
#define VIT_MVE_REQUANT_QUADS 40
#define VIT_MVE_RESIDUAL_IN 44
#define VIT_MVE_RESIDUAL_ZERO 56

#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_MVE_LAYOUT_H_
