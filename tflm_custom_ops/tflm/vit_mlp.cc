// SPDX-License-Identifier: Apache-2.0
// TFLM operator "VitMlp": MLP block, x and y [tokens, embed_dim] int8 or int16.
#include "tflm_custom_ops/kernels/vit_kernels.h"
#include "tflm_custom_ops/tflm/op_support.h"
#include "tflm_custom_ops/tflm/vit_tflm_ops.h"

namespace tflm_vit {
namespace {

struct MlpOp {
  using Params = VitMlpParams;
  static constexpr const char* kName = "VitMlp";

  static VitStatus Parse(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                         size_t blob_bytes, Params* params) {
    return vit_parse_mlp(options, options_bytes, blob, blob_bytes, params);
  }

  static TfLiteStatus Check(const TensorChecker& checker, const Params& params) {
    const TfLiteType type = StreamType(params.residual.bits);
    const TfLiteStatus status = checker.Input(type, params.tokens, params.embed_dim);
    return status != kTfLiteOk ? status : checker.Output(type, params.tokens, params.embed_dim);
  }

  static size_t ScratchBytes(const Params& params) { return vit_mlp_scratch_bytes(&params); }

  static TfLiteStatus Run(const Params& params, const OpBuffers& buffers, TfLiteContext* context) {
    if (CheckOverlap(context, kName, buffers, true) != kTfLiteOk) return kTfLiteError;
    vit_mlp(&params, buffers.x, buffers.y, buffers.scratch);
    return kTfLiteOk;
  }
};

}  // namespace

const TFLMRegistration* RegisterVitMlp() { return RegistrationOf<MlpOp>(); }

}  // namespace tflm_vit
