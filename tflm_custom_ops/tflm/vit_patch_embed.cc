// SPDX-License-Identifier: Apache-2.0
// TFLM operator "VitPatchEmbed": int8 image [1, height, width, channels], or with `planes`
// [1, channels, height, width] -> tokens [tokens, embed_dim] int8 or int16.
//
// Without `planes` the input may also be a strip [1, patch_height, width, channels] with
// patch_height < height: the model is then invoked once per row of patches, for strip s with the
// image rows from max(0, s * stride_y - pad_top) on, as many as the strip holds or the image still
// has. All runs but the last end with kTfLiteAbort after this operator; the last one runs the whole
// model. MicroInterpreter::Reset() starts a new image.
#include "tflm_custom_ops/kernels/vit_kernels.h"
#include "tflm_custom_ops/tflm/op_support.h"
#include "tflm_custom_ops/tflm/vit_tflm_ops.h"

namespace tflm_vit {
namespace {

// tflite::kTfLiteAbort of TFLM's micro_context.h, which needs the flatbuffers headers: an operator
// returns it to end a run early without an error.
constexpr TfLiteStatus kAbort = static_cast<TfLiteStatus>(15);

// In the persistent part of the arena, because it outlives a run.
struct State {
  void* scratch_handle;  // what RequestScratch left in the node
  int32_t next_strip;
};

struct PatchEmbedOp {
  using Params = VitPatchEmbedParams;
  static constexpr int kInputs = 1;
  static constexpr const char* kName = "VitPatchEmbed";

  static VitStatus Parse(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                         size_t blob_bytes, Params* params) {
    return vit_parse_patch_embed(options, options_bytes, blob, blob_bytes, params);
  }

  static VitStatus CheckSums(const Params& params) { return vit_check_sums_patch_embed(&params); }

  static bool IsStrip(const TfLiteEvalTensor* x, const Params& params) {
    const TfLiteIntArray* dims = x->dims;
    return !params.planes && params.patch_height < params.image_height && dims->size >= 3 &&
           dims->data[dims->size - 3] == params.patch_height;
  }

  static TfLiteStatus Check(const TensorChecker& checker, const Params& params) {
    const bool strip = IsStrip(checker.tensors().x[0], params);
    const int32_t rows = strip ? params.patch_height : params.image_height;
    const TfLiteStatus status =
        params.planes ? checker.Image(params.channels, params.image_height, params.image_width)
                      : checker.Image(rows, params.image_width, params.channels);
    if (status != kTfLiteOk) return status;
    const int64_t patches = static_cast<int64_t>(params.grid_height) * params.grid_width;
    return checker.Output(StreamType(params.output_bits), patches + (params.has_cls != 0),
                          params.embed_dim);
  }

  static size_t ScratchBytes(const Params& params) {
    return vit_patch_embed_scratch_bytes(&params);
  }
};

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  if (PrepareOp<PatchEmbedOp>(context, node) != kTfLiteOk) return kTfLiteError;
  State* state = static_cast<State*>(context->AllocatePersistentBuffer(context, sizeof(State)));
  if (state == nullptr) {
    TF_LITE_KERNEL_LOG(context, "%s: no room for %d persistent bytes", PatchEmbedOp::kName,
                       static_cast<int>(sizeof(State)));
    return kTfLiteError;
  }
  *state = {node->user_data, 0};
  node->user_data = state;
  return kTfLiteOk;
}

// Tokens may overwrite image rows that are consumed; how far is the planner's proof, not a
// question of two addresses, so there is no overlap check for a whole image.
TfLiteStatus RunStrip(TfLiteContext* context, const VitPatchEmbedParams& params,
                      const OpBuffers& buffers, State* state) {
  if (CheckOverlap(context, PatchEmbedOp::kName, buffers, false) != kTfLiteOk) return kTfLiteError;
  if (state->next_strip == 0) vit_patch_embed_begin(&params, buffers.y);
  vit_patch_embed_strip(&params, state->next_strip, static_cast<const int8_t*>(buffers.x[0]),
                        buffers.y, buffers.scratch);
  ++state->next_strip;
  if (state->next_strip < params.grid_height) return kAbort;
  state->next_strip = 0;
  return kTfLiteOk;
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  State* state = static_cast<State*>(node->user_data);
  TfLiteNode view = *node;
  view.user_data = state->scratch_handle;
  OpTensors tensors;
  VitPatchEmbedParams params;
  OpBuffers buffers;
  if (LoadOp<PatchEmbedOp>(context, &view, &tensors, &params, &buffers) != kTfLiteOk) {
    return kTfLiteError;
  }
  if (PatchEmbedOp::IsStrip(tensors.x[0], params)) return RunStrip(context, params, buffers, state);
  vit_patch_embed(&params, static_cast<const int8_t*>(buffers.x[0]), buffers.y, buffers.scratch);
  return kTfLiteOk;
}

void Reset(TfLiteContext*, void* buffer) { static_cast<State*>(buffer)->next_strip = 0; }

}  // namespace

const TFLMRegistration* RegisterVitPatchEmbed() {
  static const TFLMRegistration registration = {nullptr, nullptr, Prepare, Invoke,
                                                Reset,   0,       nullptr};
  return &registration;
}

}  // namespace tflm_vit
