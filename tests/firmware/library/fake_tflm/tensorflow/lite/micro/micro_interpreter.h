// SPDX-License-Identifier: Apache-2.0
// As much of an interpreter as model_interpreter.cc calls; what it does the test says
// (fake_tflm.h).
#ifndef FAKE_TFLM_MICRO_INTERPRETER_H_
#define FAKE_TFLM_MICRO_INTERPRETER_H_

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

#define TFLITE_SCHEMA_VERSION (3)

struct TfLiteTensor {
  union {
    void* raw;
    int8_t* int8;
  } data;
  size_t bytes;
};

namespace tflite {

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& resolver, MicroAllocator* allocator,
                   void* variables, MicroProfilerInterface* profiler);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteStatus Reset() { return kTfLiteOk; }
  size_t inputs_size() const;
  size_t outputs_size() const { return 1; }
  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }
  size_t arena_used_bytes() const { return 1000; }

 private:
  MicroAllocator allocator_;
  MicroProfilerInterface* profiler_;
  TfLiteTensor input_ = {};
  TfLiteTensor output_ = {};
};

}  // namespace tflite

#endif  // FAKE_TFLM_MICRO_INTERPRETER_H_
