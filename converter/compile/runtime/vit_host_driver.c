// SPDX-License-Identifier: Apache-2.0
// Runs a compiled model over many images in one call of the host library, so that the caller's
// interpreter lock stays released. Part of host shared libraries only.
#include <string.h>

#include "vit_model.h"

#ifdef VIT_MODEL_DEBUG
#include "vit_model_debug.h"
#endif

#define EXPORT __attribute__((visibility("default")))

#if !VIT_MODEL_STREAMED
static void copy_inputs(uint8_t* arena, const uint8_t* inputs) {
  for (int i = 0; i < VIT_MODEL_INPUT_COUNT; inputs += vit_model_inputs[i++].bytes) {
    memcpy(arena + vit_model_inputs[i].offset, inputs, vit_model_inputs[i].bytes);
  }
}
#endif

static void copy_outputs(const uint8_t* arena, uint8_t* outputs) {
  for (int i = 0; i < VIT_MODEL_OUTPUT_COUNT; outputs += vit_model_outputs[i++].bytes) {
    memcpy(outputs, arena + vit_model_outputs[i].offset, vit_model_outputs[i].bytes);
  }
}

// Of each of `count` inferences: the inputs' bytes, one input after the other,
// [count][VIT_MODEL_INPUT_BYTES], and the outputs' likewise, [count][VIT_MODEL_OUTPUT_BYTES].
// Returns 0, or the error of a streaming function.
EXPORT int vit_host_run(uint8_t* arena, const uint8_t* inputs, uint8_t* outputs, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* input = inputs + i * VIT_MODEL_INPUT_BYTES;
#if VIT_MODEL_STREAMED
    int status = vit_model_begin(arena);
    if (status == 0) {
      status = vit_model_push_rows(arena, (const int8_t*)input, VIT_MODEL_ROW_COUNT, NULL, NULL);
    }
    if (status == 0) status = vit_model_finish(arena, NULL, NULL);
    if (status != 0) return status;
#else
#ifdef VIT_MODEL_DEBUG
    vit_debug_fill(arena, VIT_MODEL_ARENA_BYTES);
#endif
    copy_inputs(arena, input);
    vit_model_invoke(arena, NULL, NULL);
#endif
    copy_outputs(arena, outputs + i * VIT_MODEL_OUTPUT_BYTES);
  }
  return 0;
}

#if VIT_MODEL_STREAMED
// The streaming functions one by one.
EXPORT int vit_host_begin(uint8_t* arena) { return vit_model_begin(arena); }

EXPORT int vit_host_push_rows(uint8_t* arena, const int8_t* rows, int row_count) {
  return vit_model_push_rows(arena, rows, row_count, NULL, NULL);
}

EXPORT int vit_host_finish(uint8_t* arena, int8_t* logits) {
  const int status = vit_model_finish(arena, NULL, NULL);
  if (status == 0) memcpy(logits, vit_model_output(arena), VIT_MODEL_OUTPUT_BYTES);
  return status;
}
#endif

#ifdef VIT_MODEL_DEBUG
// Starts a checked run: clears the report and sets the poison value.
EXPORT void vit_host_debug_start(uint8_t poison) {
  memset(&vit_model_debug_report, 0, sizeof(vit_model_debug_report));
  vit_model_debug_poison = poison;
}

// The first violation since vit_host_debug_start(): int32 violation, op index, arena offset.
EXPORT void vit_host_debug_report(int32_t report[3]) {
  report[0] = vit_model_debug_report.violation;
  report[1] = vit_model_debug_report.op_index;
  report[2] = (int32_t)vit_model_debug_report.offset;
}
#endif
