// SPDX-License-Identifier: Apache-2.0
// Requests of the host and the firmware's replies, on top of frames (frame.h).
//
// The host sends one request and waits for its reply; the reply repeats the sequence number. Every
// request may be sent again when its reply is lost: repeating one changes nothing. All numbers are
// little endian.
//
//   request                          reply
//   INFO                             ModelInfo (model_info.h), clock_hz u32, stack_bytes u32,
//                                    board name (rest, UTF-8)
//   BEGIN  image u32                 image u32
//   ROW    row u16, int8[W*C]        rows_received u16
//   FINISH image u32                 image u32, class u16, cycles u64, stack_used_bytes u32,
//                                    int8[classes] (all outputs of a model without images)
//   OPERATOR index u16               index u16, cycles u64, name (rest, UTF-8)
//   TEXT   place u16, u8[..row]      rows_received u16
//
// TEXT is instead of all ROWs where the model takes sub-words: bytes of a text at their place, at
// most a row's, and at last one without bytes, at the text's end, which makes the rows of it.
//
// A request that makes no sense now (a ROW before BEGIN, FINISH with rows missing) is answered by
// ERROR with a code u8 and the number of rows received u16; the host starts the image again.
#ifndef FIRMWARE_APP_PROTOCOL_H_
#define FIRMWARE_APP_PROTOCOL_H_

#include <stdint.h>

#define PROTOCOL_VERSION 1u

#define PROTOCOL_INFO 0x01u
#define PROTOCOL_BEGIN 0x02u
#define PROTOCOL_ROW 0x03u
#define PROTOCOL_FINISH 0x04u
#define PROTOCOL_OPERATOR 0x05u
#define PROTOCOL_TEXT 0x06u
#define PROTOCOL_REPLY 0x80u  // Added to the type of the request.
#define PROTOCOL_ERROR 0xFFu

#define PROTOCOL_ERROR_UNKNOWN_TYPE 1u
#define PROTOCOL_ERROR_BAD_LENGTH 2u
#define PROTOCOL_ERROR_NOT_BEGUN 3u
#define PROTOCOL_ERROR_ROW_ORDER 4u
#define PROTOCOL_ERROR_INCOMPLETE 5u
#define PROTOCOL_ERROR_BAD_INDEX 6u
#define PROTOCOL_ERROR_MODEL 7u
#define PROTOCOL_ERROR_EXTERNAL_FLASH 8u

// From now on images are refused: the weights are not there. INFO still works.
void protocol_refuse_images(void);

// Feeds one received byte; handles a request when it completes one.
void protocol_receive(uint8_t byte);

#endif  // FIRMWARE_APP_PROTOCOL_H_
