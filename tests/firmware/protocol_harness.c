// SPDX-License-Identifier: Apache-2.0
// The console protocol on this machine: its own sources, and a classifier that counts.
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "app/classifier.h"
#include "app/console.h"
#include "app/meter.h"
#include "app/model_info.h"
#include "app/protocol.h"
#include "cortexm/system.h"

const ModelInfo model_info = {.protocol_version = PROTOCOL_VERSION};
const char* const vit_model_op_names[VIT_MODEL_OP_COUNT] = {"first", "second"};

static uint8_t sent[1 << 16];
static uint32_t sent_count;
static int rows, pushes, finishes;
static int failures;  // 1: begin, 2: push, 4: finish
static int8_t logits[VIT_MODEL_OUTPUT_BYTES] = {1, 9, 2};

bool classifier_begin(void) {
  rows = 0;
  return !(failures & 1);
}
int classifier_rows_received(void) { return rows; }
bool classifier_push(const int8_t* data, int row_count) {
  (void)data;
  if (failures & 2) return false;
  pushes++;
  rows += row_count;
  return true;
}
const void* classifier_finish(void) {
  finishes++;
  return (failures & 4) ? NULL : logits;
}
const void* classifier_output(int index) { return index == 0 ? logits : NULL; }
int classifier_best(const void* output) { return output == NULL ? -1 : 1; }

void console_write_byte(uint8_t byte) {
  if (sent_count < sizeof(sent)) sent[sent_count++] = byte;
}
void console_text(const char* text) { (void)text; }
void console_unsigned(uint64_t value) { (void)value; }
void console_signed(int32_t value) { (void)value; }
uint64_t meter_total_cycles(void) { return 7; }
uint64_t meter_operator_cycles(int op_index) { return 100u + (uint64_t)op_index; }
uint32_t stack_high_water_bytes(void) { return 11; }
uint32_t stack_size_bytes(void) { return 12; }

// Bytes go in, what the protocol wrote comes out; the number of its bytes is returned.
uint32_t harness_exchange(const uint8_t* bytes, uint32_t count, uint8_t* out, uint32_t capacity) {
  sent_count = 0;
  for (uint32_t i = 0; i < count; ++i) protocol_receive(bytes[i]);
  const uint32_t copied = sent_count < capacity ? sent_count : capacity;
  memcpy(out, sent, copied);
  return copied;
}
void harness_fail(int what) { failures = what; }
int harness_pushes(void) { return pushes; }
int harness_finishes(void) { return finishes; }
