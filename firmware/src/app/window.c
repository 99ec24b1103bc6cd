// SPDX-License-Identifier: Apache-2.0
#include "app/window.h"

#include <stddef.h>

#include "app/classifier.h"

volatile Window window;

#if VIT_MODEL_IS_IMAGE
#define WINDOW_OUTPUT_BYTES VIT_MODEL_OUTPUT_BYTES
#else
#define WINDOW_OUTPUT_BYTES vit_model_outputs[0].bytes
#endif

bool window_requested(void) { return window.magic == WINDOW_MAGIC; }

__attribute__((noinline)) void window_poll(void) { __asm volatile("" ::: "memory"); }

// False when the other side withdrew the window instead of delivering.
static bool receive(void* destination, uint32_t bytes) {
  window.destination = (uint32_t)(uintptr_t)destination;
  window.wanted_bytes = bytes;
  while (window.wanted_bytes != 0u) {
    window_poll();
    if (!window_requested()) return false;
  }
  return true;
}

static bool receive_image(void) {
  if (!classifier_begin()) return false;
#if VIT_MODEL_STREAMED
  static int8_t row[CLASSIFIER_ROW_BYTES];
  while (classifier_rows_received() < VIT_MODEL_ROW_COUNT) {
    if (!receive(row, sizeof(row))) return false;
    if (!classifier_push(row, 1)) return false;
  }
  return true;
#elif VIT_MODEL_IS_IMAGE
  return receive(classifier_row_buffer(), VIT_MODEL_ROW_COUNT * CLASSIFIER_ROW_BYTES);
#else
  for (int i = 0; i < VIT_MODEL_INPUT_COUNT; ++i) {
    if (!receive(classifier_input(i), vit_model_inputs[i].bytes)) return false;
  }
  return true;
#endif
}

void window_run(void) {
  for (;;) {
    const bool received = receive_image();
    if (!window_requested()) return;
    const void* logits = received ? classifier_finish() : NULL;
    window.logits = (uint32_t)(uintptr_t)logits;
    window.logits_bytes = WINDOW_OUTPUT_BYTES;
    window.result_count++;
  }
}
