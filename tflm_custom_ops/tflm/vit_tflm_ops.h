// SPDX-License-Identifier: Apache-2.0
// The fused Vision Transformer operators for TensorFlow Lite Micro.
//
// The sources of this folder compile unchanged against TFLM's own headers (firmware, TFLM_DIR) and
// against the project's declarations in abi/ (the PyPI wheel). An application does
//
//   tflite::MicroMutableOpResolver<8> resolver;
//   if (tflm_vit::AddVitOps(&resolver) != kTfLiteOk) ...
//
// and then adds the builtin operators that its model still has.
#ifndef TFLM_CUSTOM_OPS_TFLM_VIT_TFLM_OPS_H_
#define TFLM_CUSTOM_OPS_TFLM_VIT_TFLM_OPS_H_

#include "tensorflow/lite/micro/micro_common.h"

namespace tflm_vit {

const TFLMRegistration* RegisterVitPatchEmbed();
const TFLMRegistration* RegisterVitAttention();
const TFLMRegistration* RegisterVitMlp();
const TFLMRegistration* RegisterVitLayerNorm();
const TFLMRegistration* RegisterVitGelu();
const TFLMRegistration* RegisterVitLinear();

struct NamedRegistration {
  const char* custom_code;  // operator_codes.custom_code in the .tflite
  const TFLMRegistration* (*registration)();
};

constexpr NamedRegistration kVitOps[] = {
    {"VitPatchEmbed", RegisterVitPatchEmbed},
    {"VitAttention", RegisterVitAttention},
    {"VitMlp", RegisterVitMlp},
    {"VitLayerNorm", RegisterVitLayerNorm},
    {"VitGelu", RegisterVitGelu},
    {"VitLinear", RegisterVitLinear},
};

// Adds all operators to a tflite::MicroMutableOpResolver. kTfLiteError when it has no room for
// them or has one of them already.
template <class Resolver>
TfLiteStatus AddVitOps(Resolver* resolver) {
  for (const NamedRegistration& op : kVitOps) {
    const TfLiteStatus status = resolver->AddCustom(op.custom_code, op.registration());
    if (status != kTfLiteOk) return status;
  }
  return kTfLiteOk;
}

}  // namespace tflm_vit

#endif  // TFLM_CUSTOM_OPS_TFLM_VIT_TFLM_OPS_H_
