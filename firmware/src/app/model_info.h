// SPDX-License-Identifier: Apache-2.0
// What the other side of a connection, or the emulator, needs to know about the image.
#ifndef FIRMWARE_APP_MODEL_INFO_H_
#define FIRMWARE_APP_MODEL_INFO_H_

#include <stdint.h>

// Twelve little-endian words; the emulator finds them by the symbol `model_info`. Of a model that
// takes no image: rows, bytes of a row and 0 as height, width and channels, bytes of all outputs
// as classes, and 0 for scales and zero points.
typedef struct {
  uint32_t protocol_version;
  uint32_t image_height;
  uint32_t image_width;
  uint32_t image_channels;
  uint32_t classes;
  uint32_t streamed;
  uint32_t operators;
  uint32_t arena_bytes;
  float input_scale;
  int32_t input_zero_point;
  float output_scale;
  int32_t output_zero_point;
} ModelInfo;

extern const ModelInfo model_info;

#endif  // FIRMWARE_APP_MODEL_INFO_H_
