// SPDX-License-Identifier: Apache-2.0
#include "app/meter.h"

#include "cortexm/system.h"
#include "vit_model.h"

static uint64_t total_cycles;
static uint64_t operator_cycles[VIT_MODEL_OP_COUNT];
static uint32_t last_cycle;
static uint32_t operator_start;

void meter_reset(void) {
  total_cycles = 0;
  for (int i = 0; i < VIT_MODEL_OP_COUNT; ++i) operator_cycles[i] = 0;
}

// The total is advanced at every mark, so that the 32-bit counter may wrap between calls.
static uint32_t advance(void) {
  const uint32_t now = cycle_counter_read();
  total_cycles += now - last_cycle;
  last_cycle = now;
  return now;
}

__attribute__((noinline)) void meter_start(void) { last_cycle = cycle_counter_read(); }

__attribute__((noinline)) void meter_stop(void) { (void)advance(); }

__attribute__((noinline)) void meter_operator(void* context, int op_index, int end) {
  (void)context;
  const uint32_t now = advance();
  if (end == 0) {
    operator_start = now;
  } else {
    operator_cycles[op_index] += now - operator_start;
  }
}

uint64_t meter_total_cycles(void) { return total_cycles; }

uint64_t meter_operator_cycles(int op_index) { return operator_cycles[op_index]; }
