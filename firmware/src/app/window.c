// SPDX-License-Identifier: Apache-2.0
#include "app/window.h"

#include <stddef.h>

#include "app/classifier.h"

volatile Window window;

bool window_requested(void) { return window.magic == WINDOW_MAGIC; }

__attribute__((noinline)) void window_poll(void) { __asm volatile("" ::: "memory"); }

// False when the other side withdrew the window instead of delivering.
static bool receive(int8_t* destination, uint32_t bytes) {
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
  while (classifier_rows_received() < VIT_MODEL_IMAGE_HEIGHT) {
    if (!receive(row, sizeof(row))) return false;
    if (!classifier_push(row, 1)) return false;
  }
  return true;
#else
  return receive(classifier_row_buffer(), VIT_MODEL_IMAGE_HEIGHT * CLASSIFIER_ROW_BYTES);
#endif
}

void window_run(void) {
  for (;;) {
    const bool received = receive_image();
    if (!window_requested()) return;
    const int8_t* logits = received ? classifier_finish() : NULL;
    window.logits = (uint32_t)(uintptr_t)logits;
    window.logits_bytes = VIT_MODEL_CLASSES;
    window.result_count++;
  }
}
