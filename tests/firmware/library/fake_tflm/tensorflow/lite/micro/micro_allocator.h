// SPDX-License-Identifier: Apache-2.0
#ifndef FAKE_TFLM_MICRO_ALLOCATOR_H_
#define FAKE_TFLM_MICRO_ALLOCATOR_H_

#include <stddef.h>
#include <stdint.h>

#include "tensorflow/lite/micro/memory_planner/micro_memory_planner.h"

namespace tflite {

// Only knows its arena, at whose start it lies: the fake allocates nothing.
class MicroAllocator {
 public:
  static MicroAllocator* Create(uint8_t* arena, size_t bytes,
                                MicroMemoryPlanner* planner = nullptr);
  static size_t GetDefaultTailUsage(bool) { return 64; }

  uint8_t* arena;
  size_t bytes;
  MicroMemoryPlanner* planner;
};

}  // namespace tflite

#endif  // FAKE_TFLM_MICRO_ALLOCATOR_H_
