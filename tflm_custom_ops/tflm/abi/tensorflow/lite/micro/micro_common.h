// SPDX-License-Identifier: Apache-2.0
// Mirrors TFLM's tensorflow/lite/micro/micro_common.h (own text, same names and layout).
#ifndef TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_MICRO_COMMON_H_
#define TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_MICRO_COMMON_H_

#include "tensorflow/lite/c/common.h"

// The implementation of one operator. Any member but `invoke` may be NULL.
struct TFLMRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  void (*reset)(TfLiteContext* context, void* buffer);
  int32_t builtin_code;     // filled in by AddCustom
  const char* custom_name;  // filled in by AddCustom
};

#endif  // TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_MICRO_COMMON_H_
