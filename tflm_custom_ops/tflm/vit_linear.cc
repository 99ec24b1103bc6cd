// SPDX-License-Identifier: Apache-2.0
// TFLM operator "VitLinear": a dense or low-rank projection, int8 [rows, in] -> int8 [rows, out].
#include "tflm_custom_ops/kernels/vit_kernels.h"
#include "tflm_custom_ops/tflm/op_support.h"
#include "tflm_custom_ops/tflm/vit_tflm_ops.h"

namespace tflm_vit {
namespace {

struct LinearOp {
  using Params = VitLinearOpParams;
  static constexpr const char* kName = "VitLinear";

  static VitStatus Parse(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                         size_t blob_bytes, Params* params) {
    return vit_parse_linear(options, options_bytes, blob, blob_bytes, params);
  }

  static TfLiteStatus Check(const TensorChecker& checker, const Params& params) {
    const VitProjection& projection = params.projection;
    const VitLinearParams& first = projection.rank > 0 ? projection.down : projection.up;
    const TfLiteStatus status = checker.Input(kTfLiteInt8, params.rows, first.in_features);
    if (status != kTfLiteOk) return status;
    return checker.Output(kTfLiteInt8, params.rows, projection.up.out_features);
  }

  static size_t ScratchBytes(const Params& params) { return vit_linear_scratch_bytes(&params); }

  static TfLiteStatus Run(const Params& params, const OpBuffers& buffers, TfLiteContext* context) {
    if (CheckOverlap(context, kName, buffers, false) != kTfLiteOk) return kTfLiteError;
    vit_linear(&params, static_cast<const int8_t*>(buffers.x), static_cast<int8_t*>(buffers.y),
               buffers.scratch);
    return kTfLiteOk;
  }
};

}  // namespace

const TFLMRegistration* RegisterVitLinear() { return RegistrationOf<LinearOp>(); }

}  // namespace tflm_vit
