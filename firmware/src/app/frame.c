// SPDX-License-Identifier: Apache-2.0
#include "app/frame.h"

#include "app/console.h"

#define CRC_START 0xFFFFFFFFu

// One entry per nibble: 64 bytes of flash instead of 1 KB.
static const uint32_t crc_table[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
    0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
    0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

uint32_t frame_crc32_update(uint32_t crc, const uint8_t* bytes, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    crc ^= bytes[i];
    crc = (crc >> 4) ^ crc_table[crc & 0xFu];
    crc = (crc >> 4) ^ crc_table[crc & 0xFu];
  }
  return crc;
}

static uint32_t read_u32(const uint8_t* bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
         (uint32_t)bytes[3] << 24;
}

// At a flag: is what lies in the buffer a frame?
static bool is_frame(FrameReceiver* receiver, uint32_t* payload_bytes) {
  const uint32_t length = receiver->length;
  if (length == 0u) return false;  // Two flags in a row.
  if (length <= receiver->capacity && length >= FRAME_HEADER_BYTES + FRAME_CRC_BYTES) {
    const uint32_t covered = length - FRAME_CRC_BYTES;
    if (~frame_crc32_update(CRC_START, receiver->bytes, covered) ==
        read_u32(receiver->bytes + covered)) {
      *payload_bytes = covered - FRAME_HEADER_BYTES;
      return true;
    }
  }
  receiver->bad_frames++;
  return false;
}

bool frame_receive(FrameReceiver* receiver, uint8_t byte, uint32_t* payload_bytes) {
  if (byte == FRAME_FLAG) {
    const bool complete = !receiver->escaped && is_frame(receiver, payload_bytes);
    receiver->length = 0;
    receiver->escaped = false;
    return complete;
  }
  if (byte == FRAME_ESCAPE) {
    receiver->escaped = true;
    return false;
  }
  if (receiver->escaped) byte ^= FRAME_ESCAPE_XOR;
  receiver->escaped = false;
  if (receiver->length < receiver->capacity) receiver->bytes[receiver->length] = byte;
  if (receiver->length <= receiver->capacity) receiver->length++;
  return false;
}

static uint32_t send_crc;

static void send_stuffed(uint8_t byte) {
  if (byte == FRAME_FLAG || byte == FRAME_ESCAPE) {
    console_write_byte(FRAME_ESCAPE);
    byte ^= FRAME_ESCAPE_XOR;
  }
  console_write_byte(byte);
}

void frame_send_bytes(const void* bytes, uint32_t count) {
  const uint8_t* data = bytes;
  send_crc = frame_crc32_update(send_crc, data, count);
  for (uint32_t i = 0; i < count; ++i) send_stuffed(data[i]);
}

void frame_send_begin(uint8_t type, uint8_t sequence) {
  const uint8_t header[FRAME_HEADER_BYTES] = {type, sequence};
  send_crc = CRC_START;
  console_write_byte(FRAME_FLAG);
  frame_send_bytes(header, sizeof(header));
}

static void send_little_endian(uint64_t value, uint32_t count) {
  uint8_t bytes[8];
  for (uint32_t i = 0; i < count; ++i) bytes[i] = (uint8_t)(value >> (8u * i));
  frame_send_bytes(bytes, count);
}

void frame_send_u16(uint32_t value) { send_little_endian(value, 2u); }
void frame_send_u32(uint32_t value) { send_little_endian(value, 4u); }
void frame_send_u64(uint64_t value) { send_little_endian(value, 8u); }

void frame_send_end(void) {
  const uint32_t crc = ~send_crc;
  for (uint32_t i = 0; i < FRAME_CRC_BYTES; ++i) send_stuffed((uint8_t)(crc >> (8u * i)));
  console_write_byte(FRAME_FLAG);
}
