// SPDX-License-Identifier: Apache-2.0
// One model in TensorFlow Lite Micro's interpreter, whose buffers lie where the converter planned
// them. All of it is in the caller's memory: nothing is static, nothing is ever deleted.
#ifndef FIRMWARE_TFLM_MODEL_INTERPRETER_H_
#define FIRMWARE_TFLM_MODEL_INTERPRETER_H_

#include <stddef.h>
#include <stdint.h>

#include "tensorflow/lite/micro/compatibility.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tflm_custom_ops/tflm/planned_memory_planner.h"

namespace tflm_vit {

// Called before (end = 0) and after (end = 1) each operator.
using OperatorHook = void (*)(void* context, int op_index, int end);

// Calls a hook around each operator; TFLM's release builds call no profiler.
class HookProfiler : public tflite::MicroProfilerInterface {
 public:
  void Start(OperatorHook hook, void* context);
  uint32_t BeginEvent(const char* tag) override;
  void EndEvent(uint32_t event) override;

 private:
  OperatorHook hook_ = nullptr;
  void* context_ = nullptr;
  uint32_t next_ = 0;

  TF_LITE_REMOVE_VIRTUAL_DELETE
};

// Where an input or output lies in the arena.
struct TensorPlace {
  size_t offset;
  size_t bytes;
};

// A model file and what is known of it.
struct PlannedModel {
  const uint8_t* file;
  const int32_t*
      plan;  // see planned_memory_planner.h; NULL: TFLM plans, by the offsets in the file
  size_t plan_words;
  const TensorPlace* inputs;
  size_t input_count;
  const TensorPlace* outputs;
  size_t output_count;
};

enum class SetUp {
  kDone,
  kSchema,   // the file is of another version of the schema than this TFLM's
  kTensors,  // AllocateTensors failed: the arena is too small, or an operator refuses its node
  kPlaces,   // an input or output is not where the plan says
};

class ModelInterpreter {
 public:
  // `model`, what it points to, `resolver` and the arena, 16-byte aligned, must outlive this.
  ModelInterpreter(const PlannedModel& model, const tflite::MicroOpResolver& resolver,
                   uint8_t* arena, size_t arena_bytes);

  // Once, after the operators were added to the resolver.
  SetUp Prepare();

  // One run; `partial` when it ends early, wanting more of a streamed image.
  bool Run(OperatorHook hook, void* context, bool partial);

  // Begins a streamed image anew.
  bool Reset() { return interpreter_.Reset() == kTfLiteOk; }

  // Whether the plan was made for a file of so many bytes; reads all of it.
  bool BelongsTo(size_t file_bytes) const { return planner_.BelongsTo(model_.file, file_bytes); }

  // What TFLM took of the arena, the plan included.
  size_t arena_used_bytes() const { return interpreter_.arena_used_bytes(); }

 private:
  bool IsAt(const TfLiteTensor* tensor, const TensorPlace& place) const;

  const PlannedModel& model_;
  MemoryRegion region_;
  PlannedMemoryPlanner planner_;
  HookProfiler profiler_;
  tflite::MicroInterpreter interpreter_;
};

}  // namespace tflm_vit

#endif  // FIRMWARE_TFLM_MODEL_INTERPRETER_H_
