// SPDX-License-Identifier: Apache-2.0
#include "tflm_custom_ops/tflm/abi_probe.h"

#include <string.h>

#include "tensorflow/lite/c/common.h"

namespace tflm_vit {
namespace {

// What the probe reports, in this order; abi_probe.py lists the same names.
enum ProbeWord {
  kInputsSize,
  kOutputsSize,
  kInputType,
  kInputRank,
  kInputDim0,
  kInputDim1,
  kInputDim2,
  kBlobType,
  kBlobDim0,
  kOutputType,
  kOutputDim0,
  kOptionsBytes,
  kInitBytes,
  kPrepareUserData,
  kPrepareActivationIsNull,
  kPrepareBlobIsSet,
  kScratchAligned,
  kScratchHoldsItsBytes,
  kPersistentHoldsItsBytes,
  kInputSum,
  kBlobSum,
  kProbeWords
};

struct Options {
  int32_t scratch_bytes;
  int32_t fail;
};

// Lives in the persistent part of the arena, which is thereby probed too.
struct State {
  uint32_t before;
  int32_t init_bytes;
  int32_t prepare_user_data;
  int32_t activation_is_null;
  int32_t blob_is_set;
  int scratch_index;
  uint32_t after;
};
constexpr uint32_t kGuard = 0x5ca1ab1e;

Options ReadOptions(const TfLiteNode* node) {
  Options options = {0, 0};
  if (node->custom_initial_data != nullptr && node->custom_initial_data_size >= 8) {
    memcpy(&options, node->custom_initial_data, sizeof(options));
  }
  return options;
}

void* Init(TfLiteContext* context, const char*, size_t length) {
  State* state = static_cast<State*>(context->AllocatePersistentBuffer(context, sizeof(State)));
  if (state == nullptr) return nullptr;
  *state = {kGuard, static_cast<int32_t>(length), 0, 0, 0, -1, kGuard};
  return state;
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const Options options = ReadOptions(node);
  if (options.fail != 0) {
    TF_LITE_KERNEL_LOG(context, "VitAbiProbe: fail is %d, text is %s",
                       static_cast<int>(options.fail), "readable");
    return kTfLiteError;
  }
  State* state = static_cast<State*>(node->user_data);
  if (state == nullptr || node->inputs->size != 2 || node->outputs->size != 1) return kTfLiteError;
  const TfLiteEvalTensor* x = context->GetEvalTensor(context, node->inputs->data[0]);
  const TfLiteEvalTensor* blob = context->GetEvalTensor(context, node->inputs->data[1]);
  state->prepare_user_data = state->before == kGuard;
  state->activation_is_null = x->data.raw == nullptr;
  state->blob_is_set = blob->data.raw != nullptr;
  return context->RequestScratchBufferInArena(context, static_cast<size_t>(options.scratch_bytes),
                                              &state->scratch_index);
}

int32_t Sum(const int8_t* values, int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; ++i) sum += values[i];
  return sum;
}

// Fills the whole buffer, so that one that is too small shows as a changed input or blob sum.
int32_t FillAndCheck(uint8_t* bytes, int32_t count) {
  if (bytes == nullptr) return 0;
  for (int32_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(i * 7 + 3);
  for (int32_t i = 0; i < count; ++i) {
    if (bytes[i] != static_cast<uint8_t>(i * 7 + 3)) return 0;
  }
  return 1;
}

TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const Options options = ReadOptions(node);
  const State* state = static_cast<const State*>(node->user_data);
  const TfLiteEvalTensor* x = context->GetEvalTensor(context, node->inputs->data[0]);
  const TfLiteEvalTensor* blob = context->GetEvalTensor(context, node->inputs->data[1]);
  const TfLiteEvalTensor* y = context->GetEvalTensor(context, node->outputs->data[0]);
  if (x->dims->size != 3 || blob->dims->size != 1 || y->dims->size != 1 ||
      y->dims->data[0] != kProbeWords) {
    return kTfLiteError;
  }
  uint8_t* scratch =
      static_cast<uint8_t*>(context->GetScratchBuffer(context, state->scratch_index));
  const int32_t count = x->dims->data[0] * x->dims->data[1] * x->dims->data[2];
  const int32_t scratch_ok = FillAndCheck(scratch, options.scratch_bytes);
  const int32_t words[kProbeWords] = {
      node->inputs->size,
      node->outputs->size,
      x->type,
      x->dims->size,
      x->dims->data[0],
      x->dims->data[1],
      x->dims->data[2],
      blob->type,
      blob->dims->data[0],
      y->type,
      y->dims->data[0],
      node->custom_initial_data_size,
      state->init_bytes,
      state->prepare_user_data,
      state->activation_is_null,
      state->blob_is_set,
      reinterpret_cast<uintptr_t>(scratch) % 16 == 0,
      scratch_ok,
      state->before == kGuard && state->after == kGuard,
      Sum(x->data.int8, count),
      Sum(blob->data.int8, blob->dims->data[0]),
  };
  memcpy(y->data.raw, words, sizeof(words));
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* RegisterVitAbiProbe() {
  static const TFLMRegistration registration = {Init,    nullptr, Prepare, Invoke,
                                                nullptr, 0,       nullptr};
  return &registration;
}

}  // namespace tflm_vit
