// SPDX-License-Identifier: Apache-2.0
#include "app/classifier.h"

#include <stddef.h>
#include <string.h>

#include "app/meter.h"
#include "app/subwords.h"

// Placed by the linker script; not cleared at start.
#ifndef FIRMWARE_ARENA_SECTION
#define FIRMWARE_ARENA_SECTION ".arena"
#endif
__attribute__((section(FIRMWARE_ARENA_SECTION),
               aligned(32))) static uint8_t arena[VIT_MODEL_ARENA_BYTES];
static int rows_received;

bool classifier_begin(void) {
  rows_received = 0;
  meter_reset();
#if defined(VIT_MODEL_HAS_SETUP)
  if (vit_model_setup(arena) != VIT_MODEL_OK) return false;
#endif
#if VIT_MODEL_STREAMED
  meter_start();
  const int status = vit_model_begin(arena);
  meter_stop();
  return status == VIT_MODEL_OK;
#else
  return true;
#endif
}

int classifier_rows_received(void) { return rows_received; }

#if VIT_MODEL_IS_IMAGE
int8_t* classifier_row_buffer(void) {
#if VIT_MODEL_STREAMED
  return NULL;
#else
  return vit_model_input(arena) + rows_received * CLASSIFIER_ROW_BYTES;
#endif
}

bool classifier_push(const int8_t* rows, int row_count) {
#if VIT_MODEL_STREAMED
  meter_start();
  const int status = vit_model_push_rows(arena, rows, row_count, meter_operator, NULL);
  meter_stop();
  if (status != VIT_MODEL_OK) return false;
#else
  if (rows != NULL) {
    memcpy(classifier_row_buffer(), rows, (size_t)(row_count * CLASSIFIER_ROW_BYTES));
  }
#endif
  rows_received += row_count;
  return true;
}

const void* classifier_output(int index) {
  (void)index;
  return vit_model_output(arena);
}

#if defined(VIT_MODEL_HAS_PIECES)
static const Subwords subwords = {
    .text = vit_model_piece_text,
    .ends = vit_model_piece_ends,
    .numbers = vit_model_piece_numbers,
    .first_count = VIT_MODEL_FIRST_PIECES,
    .count = VIT_MODEL_PIECES,
    .longest_piece = VIT_MODEL_LONGEST_PIECE,
    .longest_word = VIT_MODEL_LONGEST_WORD,
};

// Where a text waits: what the arena has before the input, or behind it, whichever is more.
static uint8_t* text_place(uint32_t* room) {
  int8_t* input = vit_model_input(arena);
  const uint32_t before = (uint32_t)(input - (int8_t*)arena);
  const uint32_t behind = VIT_MODEL_ARENA_BYTES - VIT_MODEL_INPUT_BYTES - before;
  *room = before > behind ? before : behind;
  return before > behind ? arena : (uint8_t*)input + VIT_MODEL_INPUT_BYTES;
}

bool classifier_text(uint32_t at, const uint8_t* text, uint32_t bytes) {
  uint32_t room = 0;
  uint8_t* place = text_place(&room);
  if (at > room || bytes > room - at) return false;
  memcpy(place + at, text, bytes);
  return true;
}

void classifier_text_end(uint32_t bytes) {
  uint32_t room = 0;
  const uint8_t* text = text_place(&room);
  subwords_cut(&subwords, text, bytes, vit_model_input(arena), VIT_MODEL_INPUT_BYTES / 2u);
  rows_received = VIT_MODEL_ROW_COUNT;
}
#endif
#else
void* classifier_input(int index) { return arena + vit_model_inputs[index].offset; }

bool classifier_push(const int8_t* rows, int row_count) {
  uint32_t at = (uint32_t)rows_received * CLASSIFIER_ROW_BYTES;
  uint32_t left = (uint32_t)row_count * CLASSIFIER_ROW_BYTES;
  for (int i = 0; i < VIT_MODEL_INPUT_COUNT && left > 0u; ++i) {
    const uint32_t bytes = vit_model_inputs[i].bytes;
    if (at >= bytes) {
      at -= bytes;
      continue;
    }
    const uint32_t part = left < bytes - at ? left : bytes - at;
    memcpy((uint8_t*)classifier_input(i) + at, rows, part);
    rows += part;
    left -= part;
    at = 0;
  }
  rows_received += row_count;
  return true;
}

const void* classifier_output(int index) { return arena + vit_model_outputs[index].offset; }
#endif

const void* classifier_finish(void) {
  meter_start();
#if VIT_MODEL_STREAMED
  const bool good = vit_model_finish(arena, meter_operator, NULL) == VIT_MODEL_OK;
#else
  const bool good = true;
  vit_model_invoke(arena, meter_operator, NULL);
#endif
  meter_stop();
#if defined(VIT_MODEL_HAS_SETUP)
  if (vit_model_failed() != 0) return NULL;
#endif
  return good ? classifier_output(0) : NULL;
}

#if VIT_MODEL_IS_IMAGE
int classifier_best(const void* output) {
  const int8_t* logits = output;
  int best = 0;
  for (int i = 1; i < VIT_MODEL_CLASSES; ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  return best;
}
#else
// Whether value `i` of the first output is greater than value `j`.
static bool is_greater(const void* values, int i, int j) {
  switch (vit_model_outputs[0].type) {
    case VIT_MODEL_UINT8:
    case VIT_MODEL_BOOL:
      return ((const uint8_t*)values)[i] > ((const uint8_t*)values)[j];
    case VIT_MODEL_INT16:
      return ((const int16_t*)values)[i] > ((const int16_t*)values)[j];
    case VIT_MODEL_INT32:
      return ((const int32_t*)values)[i] > ((const int32_t*)values)[j];
    case VIT_MODEL_INT64:
      return ((const int64_t*)values)[i] > ((const int64_t*)values)[j];
    case VIT_MODEL_FLOAT32:
      return ((const float*)values)[i] > ((const float*)values)[j];
    default:
      return ((const int8_t*)values)[i] > ((const int8_t*)values)[j];
  }
}

int classifier_best(const void* output) {
  int count = 1;
  for (int i = 0; i < vit_model_outputs[0].rank; ++i) count *= vit_model_outputs[0].shape[i];
  int best = 0;
  for (int i = 1; i < count; ++i) {
    if (is_greater(output, i, best)) best = i;
  }
  return best;
}
#endif
