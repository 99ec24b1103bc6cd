// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the console protocol, from bytes on the line to its replies.
//
// An input is a sequence of records, so that frames with a good CRC are found: a byte of kind, one
// of length n, n bytes. Kind 0xF0: raw bytes. 0xF1: what the classifier answers from now on (bit 0:
// begin, 1: push, 2: finish fail; bit 3: images are refused; bit 4: no cycle counter). Any other: a
// frame of that type. What the classifier gets goes into an image of exactly its size.
#include <stdlib.h>
#include <string.h>

#include "app/classifier.h"
#include "app/meter.h"
#include "app/model_info.h"

// The sources themselves: their state has to start anew with each input.
#include "app/frame.c"
#undef read_u32
#define read_u32 protocol_read_u32
#include "app/protocol.c"

const ModelInfo model_info = {.protocol_version = PROTOCOL_VERSION};
const char* const vit_model_op_names[VIT_MODEL_OP_COUNT] = {"first", "second}~"};
#if defined(VIT_MODEL_HAS_CLASS_NAMES)
const char* const vit_model_class_names[3] = {"a", "", "c"};
#endif

static uint8_t failures;
static int rows;
static int8_t image[VIT_MODEL_ROW_COUNT * VIT_MODEL_ROW_BYTES];
static const int8_t output[VIT_MODEL_OUTPUT_BYTES] = {1, 9, 2};
static uint32_t replies, bytes_sent;
static uint8_t reply_buffer[256];
static FrameReceiver client = {.bytes = reply_buffer, .capacity = sizeof(reply_buffer)};

static void expect(bool right) {
  if (!right) abort();
}

bool classifier_begin(void) {
  rows = 0;
  return !(failures & 1u);
}
int classifier_rows_received(void) { return rows; }
bool classifier_push(const int8_t* data, int row_count) {
  if (failures & 2u) return false;
  memcpy(image + rows * VIT_MODEL_ROW_BYTES, data, (size_t)row_count * VIT_MODEL_ROW_BYTES);
  rows += row_count;
  expect(rows <= VIT_MODEL_ROW_COUNT);
  return true;
}
const void* classifier_finish(void) {
  expect(rows == VIT_MODEL_ROW_COUNT);
  return (failures & 4u) ? NULL : output;
}
const void* classifier_output(int index) { return output + index; }
int classifier_best(const void* logits) {
  (void)logits;
  return 1;
}
void console_write_byte(uint8_t byte) {
  uint32_t payload_bytes = 0;
  bytes_sent++;
  if (frame_receive(&client, byte, &payload_bytes)) replies++;
}
void console_text(const char* text) { expect(text != NULL); }
void console_unsigned(uint64_t value) { (void)value; }
void console_signed(int32_t value) { (void)value; }
uint64_t meter_total_cycles(void) { return (failures & 16u) ? 0u : 7u; }
uint64_t meter_operator_cycles(int op_index) {
  expect(op_index >= 0 && op_index < VIT_MODEL_OP_COUNT);
  return 100u + (uint64_t)op_index;
}
uint32_t stack_high_water_bytes(void) { return 11; }
uint32_t stack_size_bytes(void) { return 12; }

static void stuffed(uint8_t byte) {
  if (byte == FRAME_FLAG || byte == FRAME_ESCAPE) {
    protocol_receive(FRAME_ESCAPE);
    byte ^= FRAME_ESCAPE_XOR;
  }
  protocol_receive(byte);
}

// A whole frame; it gets one reply where it is no longer than a request may be.
static void request(uint8_t kind, const uint8_t* payload, uint32_t count) {
  const uint8_t header[FRAME_HEADER_BYTES] = {kind, (uint8_t)count};
  const uint32_t crc =
      ~frame_crc32_update(frame_crc32_update(CRC_START, header, sizeof(header)), payload, count);
  const uint32_t before = replies;
  protocol_receive(FRAME_FLAG);
  for (uint32_t i = 0; i < sizeof(header); ++i) stuffed(header[i]);
  for (uint32_t i = 0; i < count; ++i) stuffed(payload[i]);
  for (uint32_t i = 0; i < FRAME_CRC_BYTES; ++i) stuffed((uint8_t)(crc >> (8u * i)));
  // What was raw before may have ended in this frame's first flag, as a request of its own.
  const uint32_t at_the_end = replies;
  expect(at_the_end - before <= 1u);
  protocol_receive(FRAME_FLAG);
  const bool fits = FRAME_HEADER_BYTES + count + FRAME_CRC_BYTES <= sizeof(buffer);
  expect(replies - at_the_end == (fits ? 1u : 0u));
  expect(client.bad_frames == 0);
  if (fits) expect(reply_buffer[1] == (uint8_t)count);
}

static void reset(void) {
  memset(buffer, 0, sizeof(buffer));
  receiver = (FrameReceiver){.bytes = buffer, .capacity = sizeof(buffer)};
  client = (FrameReceiver){.bytes = reply_buffer, .capacity = sizeof(reply_buffer)};
  images_refused = image_begun = false;
  image_number = 0;
  image_logits = NULL;
  failures = 0;
  rows = 0;
  replies = bytes_sent = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  reset();
  for (size_t at = 0; at + 2 <= size;) {
    const uint8_t kind = data[at];
    const size_t left = size - at - 2;
    const uint32_t count = data[at + 1] < left ? data[at + 1] : (uint32_t)left;
    const uint8_t* payload = data + at + 2;
    at += 2 + count;
    if (kind == 0xF0u) {
      for (uint32_t i = 0; i < count; ++i) protocol_receive(payload[i]);
    } else if (kind == 0xF1u) {
      failures = count ? payload[0] : 0;
      if (failures & 8u) protocol_refuse_images();
    } else {
      request(kind, payload, count);
    }
  }
  return 0;
}
