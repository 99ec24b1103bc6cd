// SPDX-License-Identifier: Apache-2.0
// Mirrors the object layout of TFLM's tensorflow/lite/micro/micro_mutable_op_resolver.h as far as
// AddCustom needs it (own text). AddCustom is a template member there, inlined into the wheel and
// not exported from it, so a library that is loaded into the wheel brings its own.
#ifndef TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_MICRO_MUTABLE_OP_RESOLVER_H_
#define TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_MICRO_MUTABLE_OP_RESOLVER_H_

#include <string.h>

#include "tensorflow/lite/micro/micro_common.h"

namespace tflite {

// schema_generated.h: the code of every custom operator.
constexpr int32_t BuiltinOperator_CUSTOM = 32;

// Never constructed here: the wheel makes the object and hands out its address.
template <unsigned int tOpCount>
class MicroMutableOpResolver {
 public:
  // Copies `registration` under `name`, which is kept by pointer. kTfLiteError when the resolver
  // is full, already has `name`, or does not look like one (another layout than the one above).
  TfLiteStatus AddCustom(const char* name, const TFLMRegistration* registration) {
    if (registrations_len_ == 0 || registrations_len_ >= tOpCount) return kTfLiteError;
    for (unsigned int i = 0; i < registrations_len_; ++i) {
      const TFLMRegistration& other = registrations_[i];
      if (other.invoke == nullptr || other.builtin_code < 0 || other.builtin_code > 1023) {
        return kTfLiteError;
      }
      if (other.builtin_code == BuiltinOperator_CUSTOM && strcmp(other.custom_name, name) == 0) {
        return kTfLiteError;
      }
    }
    TFLMRegistration* added = &registrations_[registrations_len_++];
    *added = *registration;
    added->builtin_code = BuiltinOperator_CUSTOM;
    added->custom_name = name;
    return kTfLiteOk;
  }

 private:
  MicroMutableOpResolver() = delete;

  void* virtual_table_;  // of the MicroOpResolver base
  TFLMRegistration registrations_[tOpCount];
  unsigned int registrations_len_;
  // Builtin codes and their parsers follow; AddCustom does not touch them.
};

}  // namespace tflite

#endif  // TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_MICRO_MUTABLE_OP_RESOLVER_H_
