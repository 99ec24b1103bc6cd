// SPDX-License-Identifier: Apache-2.0
// Mirrors the one function of TFLM's tensorflow/lite/micro/micro_log.h that is used here.
#ifndef TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_MICRO_LOG_H_
#define TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_MICRO_LOG_H_

// A line on the console. Defined by TFLM, in the tests of this folder by test_console.cc.
void MicroPrintf(const char* format, ...);

#endif  // TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_MICRO_LOG_H_
