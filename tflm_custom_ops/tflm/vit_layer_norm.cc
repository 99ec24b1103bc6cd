// SPDX-License-Identifier: Apache-2.0
// TFLM operator "VitLayerNorm": x [tokens, embed_dim] int8 or int16, y int8, the same shape or,
// pooled, [embed_dim].
#include "tflm_custom_ops/kernels/vit_kernels.h"
#include "tflm_custom_ops/tflm/op_support.h"
#include "tflm_custom_ops/tflm/vit_tflm_ops.h"

namespace tflm_vit {
namespace {

struct LayerNormOp {
  using Params = VitLayerNormParams;
  static constexpr const char* kName = "VitLayerNorm";

  static VitStatus Parse(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                         size_t blob_bytes, Params* params) {
    return vit_parse_layer_norm(options, options_bytes, blob, blob_bytes, params);
  }

  static TfLiteStatus Check(const TensorChecker& checker, const Params& params) {
    const TfLiteStatus status =
        checker.Input(StreamType(params.input_bits), params.tokens, params.embed_dim);
    if (status != kTfLiteOk) return status;
    const int32_t rows = params.pool == kVitPoolNone ? params.tokens : 1;
    return checker.Output(kTfLiteInt8, rows, params.embed_dim);
  }

  static size_t ScratchBytes(const Params& params) { return vit_layer_norm_scratch_bytes(&params); }

  static TfLiteStatus Run(const Params& params, const OpBuffers& buffers, TfLiteContext* context) {
    if (CheckOverlap(context, kName, buffers, true) != kTfLiteOk) return kTfLiteError;
    vit_layer_norm(&params, buffers.x, static_cast<int8_t*>(buffers.y), buffers.scratch);
    return kTfLiteOk;
  }
};

}  // namespace

const TFLMRegistration* RegisterVitLayerNorm() { return RegistrationOf<LayerNormOp>(); }

}  // namespace tflm_vit
