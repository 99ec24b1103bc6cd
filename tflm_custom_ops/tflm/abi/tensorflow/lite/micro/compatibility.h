// SPDX-License-Identifier: Apache-2.0
// Mirrors TFLM's tensorflow/lite/micro/compatibility.h (own text).
#ifndef TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_COMPATIBILITY_H_
#define TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_COMPATIBILITY_H_

// For the private section of classes with virtual functions: nothing is ever deleted on a device,
// and this keeps ::operator delete out of the firmware.
#define TF_LITE_REMOVE_VIRTUAL_DELETE \
  void operator delete(void*) {}

#endif  // TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_COMPATIBILITY_H_
