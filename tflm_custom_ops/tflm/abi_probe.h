// SPDX-License-Identifier: Apache-2.0
// The operator with which the Python loader checks that the wheel it found has the layout that
// abi/ declares. Not part of firmware.
#ifndef TFLM_CUSTOM_OPS_TFLM_ABI_PROBE_H_
#define TFLM_CUSTOM_OPS_TFLM_ABI_PROBE_H_

#include "tensorflow/lite/micro/micro_common.h"

namespace tflm_vit {

// "VitAbiProbe": inputs x (int8) and blob (constant uint8), output int32 [kProbeWords]. The options
// are two int32: the scratch bytes to request, and 1 if Prepare shall fail with a message.
const TFLMRegistration* RegisterVitAbiProbe();

}  // namespace tflm_vit

#endif  // TFLM_CUSTOM_OPS_TFLM_ABI_PROBE_H_
