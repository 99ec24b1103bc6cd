// SPDX-License-Identifier: Apache-2.0
// A console that keeps what TFLM says, for whoever reads the memory of the emulated core.
#include "app/console.h"

#define LOG_BYTES 512u

volatile char console_log[LOG_BYTES];
volatile uint32_t console_log_bytes;

void console_write_byte(uint8_t byte) {
  if (console_log_bytes >= LOG_BYTES) return;
  console_log[console_log_bytes] = (char)byte;
  console_log_bytes = console_log_bytes + 1u;
}

void console_text(const char* text) {
  while (*text != '\0') console_write_byte((uint8_t)*text++);
}
