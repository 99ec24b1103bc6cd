// SPDX-License-Identifier: Apache-2.0
// Mirrors TFLM's tensorflow/lite/micro/memory_planner/micro_memory_planner.h (own text, same
// virtual functions in the same order), so that planned_memory_planner.cc can be compiled and
// tested where TFLM's headers are absent.
#ifndef TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_MEMORY_PLANNER_MICRO_MEMORY_PLANNER_H_
#define TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_MEMORY_PLANNER_MICRO_MEMORY_PLANNER_H_

#include "tensorflow/lite/c/common.h"

namespace tflite {

class MicroMemoryPlanner {
 public:
  MicroMemoryPlanner() {}
  virtual ~MicroMemoryPlanner() {}

  // One call per buffer; the n-th call makes buffer n. `size` bytes, alive from operator
  // `first_time_used` to `last_time_used`, both included.
  virtual TfLiteStatus AddBuffer(int size, int first_time_used, int last_time_used) = 0;
  // The same with an offset in bytes from the start of the arena fixed by the model file.
  virtual TfLiteStatus AddBuffer(int size, int first_time_used, int last_time_used,
                                 int offline_offset) {
    (void)size;
    (void)first_time_used;
    (void)last_time_used;
    (void)offline_offset;
    return kTfLiteError;
  }
  virtual size_t GetMaximumMemorySize() = 0;  // bytes
  virtual int GetBufferCount() = 0;
  virtual TfLiteStatus GetOffsetForBuffer(int buffer_index, int* offset) = 0;
  virtual TfLiteStatus Init(unsigned char* scratch_buffer, int scratch_buffer_size) {
    (void)scratch_buffer;
    (void)scratch_buffer_size;
    return kTfLiteOk;
  }
  virtual bool preserves_all_tensors() const = 0;
  virtual void PrintMemoryPlan() {}
};

}  // namespace tflite

#endif  // TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_MICRO_MEMORY_PLANNER_MICRO_MEMORY_PLANNER_H_
