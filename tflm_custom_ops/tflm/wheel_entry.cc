// SPDX-License-Identifier: Apache-2.0
// What the Python loader (runtime.py) looks for in the shared library. Not part of firmware.
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tflm_custom_ops/tflm/abi/vit_tflm_abi.h"
#include "tflm_custom_ops/tflm/abi_probe.h"
#include "tflm_custom_ops/tflm/vit_tflm_ops.h"

// The wheel finds a registerer by its name among all libraries of the process. The build key in
// the name keeps two builds that are loaded at once (tests, a rebuild in a notebook) apart.
#ifndef VIT_TFLM_BUILD_KEY
#error "the loader passes -DVIT_TFLM_BUILD_KEY=<key of the sources>"
#endif

#define VIT_JOIN2(a, b) a##b
#define VIT_JOIN(a, b) VIT_JOIN2(a, b)
#define VIT_TEXT2(a) #a
#define VIT_TEXT(a) VIT_TEXT2(a)
#define VIT_REGISTERER VIT_JOIN(RegisterVitTflmOps_, VIT_TFLM_BUILD_KEY)
#define VIT_EXPORT extern "C" __attribute__((visibility("default")))

// The wheel's resolver is a PythonOpsResolver, whose only base class is this one.
using WheelResolver = tflite::MicroMutableOpResolver<200>;

VIT_EXPORT int vit_tflm_abi_version(void) { return VIT_TFLM_ABI_VERSION; }

VIT_EXPORT const char* vit_tflm_registerer_name(void) { return VIT_TEXT(VIT_REGISTERER); }

VIT_EXPORT bool VIT_REGISTERER(WheelResolver* resolver) {
  if (resolver->AddCustom("VitAbiProbe", tflm_vit::RegisterVitAbiProbe()) != kTfLiteOk) {
    return false;
  }
  return tflm_vit::AddVitOps(resolver) == kTfLiteOk;
}
