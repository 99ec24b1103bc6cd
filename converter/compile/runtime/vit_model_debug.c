// SPDX-License-Identifier: Apache-2.0
#include "vit_model_debug.h"

#ifdef VIT_MODEL_DEBUG

#include <stdbool.h>
#include <string.h>

uint8_t vit_model_debug_poison = 0xA5;
VitDebugReport vit_model_debug_report;

// Of each kept buffer, before the operator; those past MAX_KEPT are not checked. A fused model has
// one or two.
#define MAX_KEPT 256
static uint32_t kept_hash[MAX_KEPT];

static void report(VitDebugViolation violation, int32_t op_index, uint32_t offset) {
  if (vit_model_debug_report.violation != kVitDebugOk) return;
  vit_model_debug_report.violation = violation;
  vit_model_debug_report.op_index = op_index;
  vit_model_debug_report.offset = offset;
}

// FNV-1a.
static uint32_t hash(const uint8_t* bytes, const VitDebugRange* range) {
  uint32_t value = 2166136261u;
  for (uint32_t i = range->begin; i < range->end; ++i) value = (value ^ bytes[i]) * 16777619u;
  return value;
}

// End of the dead bytes that start at `from`, or `from` itself if that byte is in a range. In
// that case *skip is where the range ends.
static uint32_t dead_end(const VitDebugOp* op, bool with_touched, uint32_t from, uint32_t end,
                         uint32_t* skip) {
  const VitDebugRanges* groups[2] = {&op->live, &op->touched};
  for (int g = 0; g < (with_touched ? 2 : 1); ++g) {
    for (uint32_t i = 0; i < groups[g]->count; ++i) {
      const VitDebugRange* range = &groups[g]->ranges[i];
      if (range->begin <= from && from < range->end) {
        *skip = range->end;
        return from;
      }
      if (range->begin > from && range->begin < end) end = range->begin;
    }
  }
  *skip = end;
  return end;
}

void vit_debug_fill(uint8_t* arena, uint32_t arena_bytes) {
  memset(arena, vit_model_debug_poison, arena_bytes);
}

void vit_debug_before(const VitDebugOp* op, uint8_t* arena, uint32_t arena_bytes) {
  for (uint32_t at = 0, next = 0; at < arena_bytes; at = next) {
    const uint32_t end = dead_end(op, false, at, arena_bytes, &next);
    memset(arena + at, vit_model_debug_poison, end - at);
  }
  for (uint32_t i = 0; i < op->kept.count && i < MAX_KEPT; ++i) {
    kept_hash[i] = hash(arena, &op->kept.ranges[i]);
  }
}

void vit_debug_after(const VitDebugOp* op, int32_t op_index, const uint8_t* arena,
                     uint32_t arena_bytes) {
  for (uint32_t i = 0; i < op->kept.count && i < MAX_KEPT; ++i) {
    if (hash(arena, &op->kept.ranges[i]) != kept_hash[i]) {
      report(kVitDebugLiveBufferChanged, op_index, op->kept.ranges[i].begin);
    }
  }
  for (uint32_t at = 0, next = 0; at < arena_bytes; at = next) {
    const uint32_t end = dead_end(op, true, at, arena_bytes, &next);
    for (; at < end; ++at) {
      if (arena[at] != vit_model_debug_poison) report(kVitDebugDeadByteWritten, op_index, at);
    }
  }
}

#else
typedef int vit_model_debug_is_not_built;  // ISO C forbids an empty translation unit
#endif  // VIT_MODEL_DEBUG
