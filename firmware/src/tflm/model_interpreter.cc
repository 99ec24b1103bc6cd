// SPDX-License-Identifier: Apache-2.0
#include "tflm/model_interpreter.h"

#include "tensorflow/lite/schema/schema_generated.h"

namespace tflm_vit {
namespace {

// tflite::kTfLiteAbort of micro_context.h: an operator ended the run early, and nothing failed.
constexpr TfLiteStatus kAbort = static_cast<TfLiteStatus>(15);

tflite::MicroAllocator* MakeAllocator(const PlannedModel& model, uint8_t* arena, size_t bytes,
                                      PlannedMemoryPlanner* planner) {
  return model.plan == nullptr ? tflite::MicroAllocator::Create(arena, bytes)
                               : tflite::MicroAllocator::Create(arena, bytes, planner);
}

}  // namespace

void HookProfiler::Start(OperatorHook hook, void* context) {
  hook_ = hook;
  context_ = context;
  next_ = 0;
}

uint32_t HookProfiler::BeginEvent(const char*) {
  if (hook_ != nullptr) hook_(context_, static_cast<int>(next_), 0);
  return next_++;
}

void HookProfiler::EndEvent(uint32_t event) {
  if (hook_ != nullptr) hook_(context_, static_cast<int>(event), 1);
}

ModelInterpreter::ModelInterpreter(const PlannedModel& model,
                                   const tflite::MicroOpResolver& resolver, uint8_t* arena,
                                   size_t arena_bytes)
    : model_(model),
      region_{arena, arena_bytes},
      planner_(model.plan, model.plan_words, &region_, 1),
      interpreter_(tflite::GetModel(model.file), resolver,
                   MakeAllocator(model, arena, arena_bytes, &planner_), nullptr, &profiler_) {}

bool ModelInterpreter::IsAt(const TfLiteTensor* tensor, const TensorPlace& place) const {
  return tensor != nullptr && tensor->data.raw != nullptr &&
         static_cast<const void*>(tensor->data.raw) == region_.base + place.offset &&
         tensor->bytes == place.bytes;
}

SetUp ModelInterpreter::Prepare() {
  if (tflite::GetModel(model_.file)->version() != TFLITE_SCHEMA_VERSION) return SetUp::kSchema;
  profiler_.Start(nullptr, nullptr);
  if (interpreter_.AllocateTensors() != kTfLiteOk) return SetUp::kTensors;
  bool there = interpreter_.inputs_size() == model_.input_count &&
               interpreter_.outputs_size() == model_.output_count;
  for (size_t i = 0; there && i < model_.input_count; ++i) {
    there = IsAt(interpreter_.input(i), model_.inputs[i]);
  }
  for (size_t i = 0; there && i < model_.output_count; ++i) {
    there = IsAt(interpreter_.output(i), model_.outputs[i]);
  }
  return there ? SetUp::kDone : SetUp::kPlaces;
}

bool ModelInterpreter::Run(OperatorHook hook, void* context, bool partial) {
  profiler_.Start(hook, context);
  const TfLiteStatus status = interpreter_.Invoke();
  profiler_.Start(nullptr, nullptr);
  return status == (partial ? kAbort : kTfLiteOk);
}

}  // namespace tflm_vit
