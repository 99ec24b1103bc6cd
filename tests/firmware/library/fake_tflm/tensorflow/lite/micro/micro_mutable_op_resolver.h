// SPDX-License-Identifier: Apache-2.0
#ifndef FAKE_TFLM_MICRO_MUTABLE_OP_RESOLVER_H_
#define FAKE_TFLM_MICRO_MUTABLE_OP_RESOLVER_H_

#include "fake_tflm.h"
#include "tensorflow/lite/micro/micro_common.h"
#include "tensorflow/lite/micro/micro_op_resolver.h"

namespace tflite {

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus AddCustom(const char*, const TFLMRegistration*) { return Add(); }
  TfLiteStatus AddAdd() { return Add(); }
  TfLiteStatus AddMean() { return Add(); }

 private:
  TfLiteStatus Add() {
    if (fake_tflm.failing == FakeTflm::kOperators) return kTfLiteError;
    return ++added_ <= tOpCount ? kTfLiteOk : kTfLiteError;
  }

  unsigned int added_ = 0;

  void operator delete(void*) {}
};

}  // namespace tflite

#endif  // FAKE_TFLM_MICRO_MUTABLE_OP_RESOLVER_H_
