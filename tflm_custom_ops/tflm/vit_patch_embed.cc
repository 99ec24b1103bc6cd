// SPDX-License-Identifier: Apache-2.0
// TFLM operator "VitPatchEmbed": int8 image [1, height, width, channels] -> tokens
// [tokens, embed_dim] int8 or int16.
#include "tflm_custom_ops/kernels/vit_kernels.h"
#include "tflm_custom_ops/tflm/op_support.h"
#include "tflm_custom_ops/tflm/vit_tflm_ops.h"

namespace tflm_vit {
namespace {

struct PatchEmbedOp {
  using Params = VitPatchEmbedParams;
  static constexpr const char* kName = "VitPatchEmbed";

  static VitStatus Parse(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                         size_t blob_bytes, Params* params) {
    return vit_parse_patch_embed(options, options_bytes, blob, blob_bytes, params);
  }

  static TfLiteStatus Check(const TensorChecker& checker, const Params& params) {
    const TfLiteStatus status =
        checker.Image(params.image_height, params.image_width, params.channels);
    if (status != kTfLiteOk) return status;
    const int64_t patches = static_cast<int64_t>(params.grid_height) * params.grid_width;
    return checker.Output(StreamType(params.output_bits), patches + (params.has_cls != 0),
                          params.embed_dim);
  }

  static size_t ScratchBytes(const Params& params) {
    return vit_patch_embed_scratch_bytes(&params);
  }

  // Tokens may overwrite image rows that are consumed; how far is the planner's proof, not a
  // question of two addresses, so there is no overlap check here.
  static TfLiteStatus Run(const Params& params, const OpBuffers& buffers, TfLiteContext*) {
    vit_patch_embed(&params, static_cast<const int8_t*>(buffers.x), buffers.y, buffers.scratch);
    return kTfLiteOk;
  }
};

}  // namespace

const TFLMRegistration* RegisterVitPatchEmbed() { return RegistrationOf<PatchEmbedOp>(); }

}  // namespace tflm_vit
