// SPDX-License-Identifier: Apache-2.0
// The interface of a compiled model (vit_model.h) on top of TensorFlow Lite Micro's interpreter, so
// that the application is the same for both runtimes.
//
// TFLM's classes live in static storage and are made by vit_model_setup(); nothing is ever deleted.

#include <stddef.h>
#include <stdint.h>

#include <new>

#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_custom_ops/tflm/planned_memory_planner.h"
#include "tflm_custom_ops/tflm/vit_tflm_ops.h"
#include "vit_model.h"
#include "vit_model_plan.h"
#include "vit_model_resolver.h"

extern "C" {
#include "app/console.h"
extern const uint8_t vit_model_weights[];  // The .tflite itself.
// The arena that TFLM really took; the emulator reads it.
uint32_t vit_model_arena_used_bytes;
}

namespace {

using Resolver = tflite::MicroMutableOpResolver<VIT_MODEL_RESOLVER_OPERATORS>;

// Calls the model's hook around each operator.
class HookProfiler : public tflite::MicroProfilerInterface {
 public:
  void Start(VitOpHook hook, void* context) {
    hook_ = hook;
    context_ = context;
    next_ = 0;
  }
  void Stop() { hook_ = nullptr; }
  uint32_t BeginEvent(const char* tag) override {
    (void)tag;
    if (hook_ != nullptr) hook_(context_, static_cast<int>(next_), 0);
    return next_++;
  }
  void EndEvent(uint32_t event) override {
    if (hook_ != nullptr) hook_(context_, static_cast<int>(event), 1);
  }

 private:
  VitOpHook hook_ = nullptr;
  void* context_ = nullptr;
  uint32_t next_ = 0;
};

// Room for an object that is made later and never destroyed.
template <class T>
class Storage {
 public:
  template <class... Arguments>
  T* Make(Arguments&&... arguments) {
    return new (bytes_) T(static_cast<Arguments&&>(arguments)...);
  }

 private:
  alignas(T) uint8_t bytes_[sizeof(T)];
};

Storage<Resolver> resolver_storage;
Storage<HookProfiler> profiler_storage;
Storage<tflm_vit::PlannedMemoryPlanner> planner_storage;
Storage<tflite::MicroInterpreter> interpreter_storage;
tflm_vit::MemoryRegion region;
HookProfiler* profiler;
tflite::MicroInterpreter* interpreter;
bool failed;

bool Fail(const char* what) {
  console_text("TFLM: ");
  console_text(what);
  console_text("\r\n");
  failed = true;
  return false;
}

bool SetUp(uint8_t* arena) {
  region = {arena, VIT_MODEL_ARENA_BYTES};
  auto* planner = planner_storage.Make(vit_model_plan, VIT_MODEL_PLAN_WORDS, &region, 1);
  if (!planner->BelongsTo(vit_model_weights, VIT_MODEL_FILE_BYTES)) {
    return Fail("the memory plan belongs to another model");
  }
  Resolver* resolver = resolver_storage.Make();
  if (VitModelAddOperators(resolver) != kTfLiteOk) return Fail("an operator is not available");
  auto* allocator = tflite::MicroAllocator::Create(arena, VIT_MODEL_ARENA_BYTES, planner);
  profiler = profiler_storage.Make();
  interpreter = interpreter_storage.Make(tflite::GetModel(vit_model_weights), *resolver, allocator,
                                         nullptr, profiler);
  if (interpreter->AllocateTensors() != kTfLiteOk) return Fail("tensors do not fit the arena");
  vit_model_arena_used_bytes = static_cast<uint32_t>(interpreter->arena_used_bytes());
  if (interpreter->input(0)->bytes != VIT_MODEL_INPUT_BYTES) return Fail("unexpected input size");
  return true;
}

}  // namespace

extern "C" {

int vit_model_setup(uint8_t* arena) {
  if (interpreter == nullptr && !failed) SetUp(arena);
  return failed ? VIT_MODEL_ERROR_SETUP : VIT_MODEL_OK;
}

int vit_model_failed(void) { return failed ? 1 : 0; }

int8_t* vit_model_input(uint8_t* arena) {
  (void)arena;
  return interpreter->input(0)->data.int8;
}

const int8_t* vit_model_output(const uint8_t* arena) {
  (void)arena;
  return interpreter->output(0)->data.int8;
}

void vit_model_invoke(uint8_t* arena, VitOpHook hook, void* context) {
  (void)arena;
  profiler->Start(hook, context);
  if (interpreter->Invoke() != kTfLiteOk) Fail("an operator failed");
  profiler->Stop();
}

}  // extern "C"
