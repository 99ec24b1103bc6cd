// SPDX-License-Identifier: Apache-2.0
#include "fake_tflm.h"

#include <string.h>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"

FakeTflm fake_tflm;

void MicroPrintf(const char*, ...) {}

namespace tflite {

uint32_t Model::version() const { return fake_tflm.failing == FakeTflm::kSchema ? 4 : 3; }

MicroAllocator* MicroAllocator::Create(uint8_t* arena, size_t bytes, MicroMemoryPlanner* planner) {
  static MicroAllocator made;
  made.arena = arena;
  made.bytes = bytes;
  made.planner = planner;
  return &made;
}

MicroInterpreter::MicroInterpreter(const Model*, const MicroOpResolver&, MicroAllocator* allocator,
                                   void*, MicroProfilerInterface* profiler)
    : allocator_(*allocator), profiler_(profiler) {
  ++fake_tflm.made;
  fake_tflm.runs = 0;
  fake_tflm.seen_bytes = 0;
}

size_t MicroInterpreter::inputs_size() const {
  return fake_tflm.failing == FakeTflm::kCounts ? 2 : 1;
}

TfLiteStatus MicroInterpreter::AllocateTensors() {
  if (fake_tflm.failing == FakeTflm::kTensors) return kTfLiteError;
  if (allocator_.planner != nullptr && allocator_.planner->Init(nullptr, 0) != kTfLiteOk) {
    return kTfLiteError;
  }
  const size_t shift = fake_tflm.failing == FakeTflm::kPlaces ? 16 : 0;
  const size_t more = fake_tflm.failing == FakeTflm::kSizes ? 1 : 0;
  input_.data.raw = allocator_.arena + fake_tflm.input_offset;
  input_.bytes = fake_tflm.input_bytes + more;
  output_.data.raw = allocator_.arena + fake_tflm.output_offset + shift;
  output_.bytes = fake_tflm.output_bytes;
  return kTfLiteOk;
}

TfLiteStatus MicroInterpreter::Invoke() {
  if (fake_tflm.failing == FakeTflm::kInvoke) return kTfLiteError;
  const uint32_t event = profiler_->BeginEvent("only");
  memcpy(fake_tflm.seen + fake_tflm.seen_bytes, input_.data.raw, input_.bytes);
  fake_tflm.seen_bytes += input_.bytes;
  profiler_->EndEvent(event);
  if (++fake_tflm.runs < fake_tflm.runs_of_an_image) return static_cast<TfLiteStatus>(15);
  for (size_t i = 0; i < output_.bytes; ++i) {
    static_cast<uint8_t*>(output_.data.raw)[i] = static_cast<uint8_t>(i + 1);
  }
  return kTfLiteOk;
}

}  // namespace tflite
