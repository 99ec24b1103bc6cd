// SPDX-License-Identifier: Apache-2.0
// Lets test_device_table.py drive the C++ planner as TFLM's allocator does.
#include <stdarg.h>
#include <stdio.h>

#include "tensorflow/lite/micro/micro_log.h"
#include "tflm_custom_ops/tflm/planned_memory_planner.h"

void MicroPrintf(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
}

// Adds `count` buffers of {bytes, first use, last use} and writes their offsets. Returns 0 when all
// went well, else the number of the step that failed: 1 the model, 2 the plan, 3 a buffer, 4 an
// offset.
extern "C" int run_planner(const int32_t* plan, size_t plan_words, uint8_t* arena,
                           size_t arena_bytes, const void* model, size_t model_bytes,
                           const int32_t* buffers, int count, int32_t* offsets) {
  const tflm_vit::MemoryRegion regions[] = {{arena, arena_bytes}};
  tflm_vit::PlannedMemoryPlanner planner(plan, plan_words, regions, 1);
  if (!planner.BelongsTo(model, model_bytes)) return 1;
  if (planner.Init(nullptr, 0) != kTfLiteOk) return 2;
  for (int i = 0; i < count; ++i) {
    const int32_t* b = buffers + 3 * i;
    if (planner.AddBuffer((b[0] + 15) / 16 * 16, b[1], b[2]) != kTfLiteOk) return 3;
  }
  for (int i = 0; i < count; ++i) {
    int offset = 0;
    if (planner.GetOffsetForBuffer(i, &offset) != kTfLiteOk) return 4;
    offsets[i] = offset;
  }
  return 0;
}
