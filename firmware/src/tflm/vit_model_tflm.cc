// SPDX-License-Identifier: Apache-2.0
// The interface of a compiled model (vit_model.h) on top of TensorFlow Lite Micro's interpreter, so
// that the application is the same for both runtimes.
//
// TFLM's classes live in static storage and are made by vit_model_setup(); nothing is ever deleted.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <new>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tflm/model_interpreter.h"
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
Storage<tflm_vit::ModelInterpreter> interpreter_storage;
tflm_vit::ModelInterpreter* interpreter;
uint8_t* arena_base;
bool failed;
[[maybe_unused]] constexpr size_t kRowBytes = VIT_MODEL_IMAGE_WIDTH * VIT_MODEL_IMAGE_CHANNELS;

bool Fail(const char* what) {
  console_text("TFLM: ");
  console_text(what);
  console_text("\r\n");
  failed = true;
  return false;
}

constexpr tflm_vit::TensorPlace kInput = {VIT_MODEL_TFLM_INPUT_OFFSET, VIT_MODEL_TFLM_INPUT_BYTES};
constexpr tflm_vit::TensorPlace kOutput = {VIT_MODEL_TFLM_OUTPUT_OFFSET, VIT_MODEL_OUTPUT_BYTES};
#if VIT_MODEL_PLAN_WORDS > 0
constexpr const int32_t* kPlan = vit_model_plan;
#else
constexpr const int32_t* kPlan = nullptr;
#endif
constexpr tflm_vit::PlannedModel kModel = {
    vit_model_weights, kPlan, VIT_MODEL_PLAN_WORDS, &kInput, 1, &kOutput, 1};

bool SetUp(uint8_t* arena) {
  Resolver* resolver = resolver_storage.Make();
  if (VitModelAddOperators(resolver) != kTfLiteOk) return Fail("an operator is not available");
  auto* made = interpreter_storage.Make(kModel, *resolver, arena, size_t{VIT_MODEL_ARENA_BYTES});
  if (VIT_MODEL_PLAN_WORDS != 0 && !made->BelongsTo(VIT_MODEL_FILE_BYTES)) {
    return Fail("the memory plan belongs to another model");
  }
  switch (made->Prepare()) {
    case tflm_vit::SetUp::kSchema:
      return Fail("unknown version of the file");
    case tflm_vit::SetUp::kTensors:
      return Fail("tensors do not fit the arena");
    case tflm_vit::SetUp::kPlaces:
      return Fail("an input or output is not where the plan says");
    case tflm_vit::SetUp::kDone:
      break;
  }
  vit_model_arena_used_bytes = static_cast<uint32_t>(made->arena_used_bytes());
  arena_base = arena;
  interpreter = made;
  return true;
}

// The image, or the strip of it.
int8_t* Input() { return reinterpret_cast<int8_t*>(arena_base + kInput.offset); }

// One run of the interpreter; `partial` when it ends early, wanting more of the image.
void Run(VitOpHook hook, void* context, bool partial) {
  if (!interpreter->Run(hook, context, partial)) Fail("an operator failed");
}

#if VIT_MODEL_STREAMED
// Image rows received, and the strip that they go to; begun between begin and finish.
struct Stream {
  bool begun;
  int rows;
  int strip;
};
Stream stream;

int8_t* RowOfStrip(int row) {
  const int first = vit_model_strips[stream.strip].first_row;
  return Input() + static_cast<size_t>(row - first) * kRowBytes;
}

bool StripIsComplete() {
  const auto& strip = vit_model_strips[stream.strip];
  return stream.rows >= strip.first_row + strip.rows;
}

// Goes to the next strip, which may begin with rows that this one has already. The run does not
// touch them: the arena's plan keeps the strip beside the tokens.
void NextStrip() {
  const int8_t* from = RowOfStrip(vit_model_strips[stream.strip + 1].first_row);
  ++stream.strip;
  const int shared = stream.rows - vit_model_strips[stream.strip].first_row;
  if (shared > 0) memmove(Input(), from, shared * kRowBytes);
}
#endif

}  // namespace

extern "C" {

int vit_model_setup(uint8_t* arena) {
  if (interpreter == nullptr && !failed) SetUp(arena);
  return failed ? VIT_MODEL_ERROR_SETUP : VIT_MODEL_OK;
}

int vit_model_failed(void) { return failed ? 1 : 0; }

const int8_t* vit_model_output(const uint8_t* arena) {
  (void)arena;
  return reinterpret_cast<const int8_t*>(arena + kOutput.offset);
}

#if VIT_MODEL_STREAMED

int vit_model_begin(uint8_t* arena) {
  (void)arena;
  if (failed) return VIT_MODEL_ERROR_SETUP;
  stream = {true, 0, 0};
  return interpreter->Reset() ? VIT_MODEL_OK : VIT_MODEL_ERROR_SETUP;
}

int vit_model_push_rows(uint8_t* arena, const int8_t* rows, int row_count, VitOpHook hook,
                        void* context) {
  (void)arena;
  if (!stream.begun) return VIT_MODEL_ERROR_NOT_BEGUN;
  if (row_count < 0 || row_count > VIT_MODEL_IMAGE_HEIGHT - stream.rows) {
    return VIT_MODEL_ERROR_TOO_MANY_ROWS;
  }
  for (; row_count > 0; --row_count, rows += kRowBytes) {
    // Rows before, between and behind the strips belong to no patch.
    const auto& strip = vit_model_strips[stream.strip];
    if (stream.rows >= strip.first_row && !StripIsComplete()) {
      memcpy(RowOfStrip(stream.rows), rows, kRowBytes);
    }
    ++stream.rows;
    // The last strip waits for finish: its run goes on to the end of the model.
    while (stream.strip + 1 < VIT_MODEL_STRIPS && StripIsComplete()) {
      Run(hook, context, true);
      NextStrip();
    }
  }
  return VIT_MODEL_OK;
}

int vit_model_finish(uint8_t* arena, VitOpHook hook, void* context) {
  (void)arena;
  if (!stream.begun) return VIT_MODEL_ERROR_NOT_BEGUN;
  if (stream.rows != VIT_MODEL_IMAGE_HEIGHT) return VIT_MODEL_ERROR_TOO_FEW_ROWS;
  stream.begun = false;
  Run(hook, context, false);
  return VIT_MODEL_OK;
}

#else

int8_t* vit_model_input(uint8_t* arena) {
  (void)arena;
  return Input();
}

void vit_model_invoke(uint8_t* arena, VitOpHook hook, void* context) {
  (void)arena;
  Run(hook, context, false);
}

#endif

}  // extern "C"
