// SPDX-License-Identifier: Apache-2.0
// Version of the agreement between an operator library and the Python loader (abi.py).
#ifndef TFLM_CUSTOM_OPS_TFLM_ABI_VIT_TFLM_ABI_H_
#define TFLM_CUSTOM_OPS_TFLM_ABI_VIT_TFLM_ABI_H_

// Raise it, here and in abi.py, with every change of the declarations in this folder, of the
// exported functions of wheel_entry.cc, or of the probe operator.
#ifndef VIT_TFLM_ABI_VERSION
#define VIT_TFLM_ABI_VERSION 2
#endif

#endif  // TFLM_CUSTOM_OPS_TFLM_ABI_VIT_TFLM_ABI_H_
