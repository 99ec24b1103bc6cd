// SPDX-License-Identifier: Apache-2.0
// TFLM operator "VitGelu": a 256-byte table over an int8 tensor of any shape.
#include "tflm_custom_ops/kernels/vit_kernels.h"
#include "tflm_custom_ops/tflm/op_support.h"
#include "tflm_custom_ops/tflm/vit_tflm_ops.h"

namespace tflm_vit {
namespace {

struct GeluOp {
  using Params = VitGeluParams;
  static constexpr const char* kName = "VitGelu";

  static VitStatus Parse(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                         size_t blob_bytes, Params* params) {
    return vit_parse_gelu(options, options_bytes, blob, blob_bytes, params);
  }

  static TfLiteStatus Check(const TensorChecker& checker, const Params&) {
    const int64_t count = ElementCount(checker.tensors().x);
    const TfLiteIntArray* dims = checker.tensors().x->dims;
    const int32_t columns = dims->size > 0 ? dims->data[dims->size - 1] : 1;
    const int64_t rows = columns > 0 ? count / columns : 0;
    const TfLiteStatus status = checker.Input(kTfLiteInt8, rows, columns);
    return status != kTfLiteOk ? status : checker.Output(kTfLiteInt8, rows, columns);
  }

  static size_t ScratchBytes(const Params&) { return 0; }

  static TfLiteStatus Run(const Params& params, const OpBuffers& buffers, TfLiteContext* context) {
    if (CheckOverlap(context, kName, buffers, true) != kTfLiteOk) return kTfLiteError;
    vit_gelu(&params, static_cast<const int8_t*>(buffers.x), static_cast<int8_t*>(buffers.y),
             buffers.x_bytes);
    return kTfLiteOk;
  }
};

}  // namespace

const TFLMRegistration* RegisterVitGelu() { return RegistrationOf<GeluOp>(); }

}  // namespace tflm_vit
