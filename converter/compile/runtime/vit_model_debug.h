// SPDX-License-Identifier: Apache-2.0
// Debug build of a compiled model (-DVIT_MODEL_DEBUG): proves that the memory plan is obeyed.
//
// Before each operator every byte of the arena that the plan says is dead is filled with
// `poison`, so an operator that reads a dead byte computes something else: run with two poison
// values and compare the logits. After each operator
//   - every byte outside the live buffers, the outputs and the scratch still holds the poison
//     (all free space is a canary), and
//   - every buffer that a later operator reads still has the content that it had before.
// Not reentrant: one inference at a time.
#ifndef VIT_MODEL_DEBUG_H_
#define VIT_MODEL_DEBUG_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Bytes [begin, end) of the arena.
typedef struct {
  uint32_t begin;
  uint32_t end;
} VitDebugRange;

typedef struct {
  const VitDebugRange* ranges;
  uint32_t count;
} VitDebugRanges;

// Around one operator; see OpSpans in converter/compile/arena.py.
typedef struct {
  VitDebugRanges live;
  VitDebugRanges kept;
  VitDebugRanges touched;
} VitDebugOp;

typedef enum {
  kVitDebugOk = 0,
  kVitDebugDeadByteWritten,    // outside live buffers, outputs and scratch
  kVitDebugLiveBufferChanged,  // a buffer that is still needed
} VitDebugViolation;

// The first violation since the report was cleared.
typedef struct {
  int32_t violation;  // VitDebugViolation
  int32_t op_index;
  uint32_t offset;  // the byte, or the start of the changed buffer
} VitDebugReport;

// Set by the caller before an inference; the report is never cleared by the model.
extern uint8_t vit_model_debug_poison;
extern VitDebugReport vit_model_debug_report;

void vit_debug_fill(uint8_t* arena, uint32_t arena_bytes);
void vit_debug_before(const VitDebugOp* op, uint8_t* arena, uint32_t arena_bytes);
void vit_debug_after(const VitDebugOp* op, int32_t op_index, const uint8_t* arena,
                     uint32_t arena_bytes);

#ifdef __cplusplus
}
#endif
#endif  // VIT_MODEL_DEBUG_H_
