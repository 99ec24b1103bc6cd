// SPDX-License-Identifier: Apache-2.0
#include "app/classifier.h"

#include <stddef.h>
#include <string.h>

#include "app/meter.h"

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

const int8_t* classifier_finish(void) {
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
  return good ? vit_model_output(arena) : NULL;
}

int classifier_best(const int8_t* logits) {
  int best = 0;
  for (int i = 1; i < VIT_MODEL_CLASSES; ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  return best;
}
