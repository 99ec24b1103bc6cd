// SPDX-License-Identifier: Apache-2.0
// Frames on the serial line: HDLC-like framing (RFC 1662 section 4) with CRC-32.
//
//   0x7E  type  sequence  payload ...  crc32 (4 bytes, little endian)  0x7E
//
// Inside a frame 0x7E and 0x7D are sent as 0x7D followed by the byte XOR 0x20. The CRC is that of
// IEEE 802.3 over type, sequence and payload. Anything between two flags that is not a frame with
// a good CRC is ignored, so a receiver is in step again at the next flag after any garbage.
#ifndef FIRMWARE_APP_FRAME_H_
#define FIRMWARE_APP_FRAME_H_

#include <stdbool.h>
#include <stdint.h>

#define FRAME_FLAG 0x7Eu
#define FRAME_ESCAPE 0x7Du
#define FRAME_ESCAPE_XOR 0x20u
#define FRAME_HEADER_BYTES 2u
#define FRAME_CRC_BYTES 4u

typedef struct {
  uint8_t* bytes;     // Buffer: type, sequence, payload, CRC.
  uint32_t capacity;  // Its size in bytes.
  uint32_t length;    // Bytes received since the last flag; capacity + 1 once it overflowed.
  bool escaped;
  uint32_t bad_frames;  // Discarded for length or CRC since start.
} FrameReceiver;

// Feeds one byte; true when it completes a good frame: bytes[0] is its type, bytes[1] its
// sequence number, and `*payload_bytes` payload bytes follow. They stay until the next feed.
bool frame_receive(FrameReceiver* receiver, uint8_t byte, uint32_t* payload_bytes);

// Sends a frame piece by piece, so that no buffer is needed.
void frame_send_begin(uint8_t type, uint8_t sequence);
void frame_send_bytes(const void* bytes, uint32_t count);
void frame_send_u16(uint32_t value);
void frame_send_u32(uint32_t value);
void frame_send_u64(uint64_t value);
void frame_send_end(void);

// CRC-32 of IEEE 802.3 (reflected polynomial 0xEDB88320): start with 0xFFFFFFFF, invert at the end.
uint32_t frame_crc32_update(uint32_t crc, const uint8_t* bytes, uint32_t count);

#endif  // FIRMWARE_APP_FRAME_H_
