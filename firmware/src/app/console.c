// SPDX-License-Identifier: Apache-2.0
#include "app/console.h"

__attribute__((noinline)) void console_idle(void) { __asm volatile("" ::: "memory"); }

void console_text(const char* text) {
  while (*text != '\0') console_write_byte((uint8_t)*text++);
}

void console_unsigned(uint64_t value) {
  char digits[21];
  int position = 20;
  digits[position] = '\0';
  do {
    digits[--position] = (char)('0' + (int)(value % 10u));
    value /= 10u;
  } while (value != 0u);
  console_text(&digits[position]);
}

void console_signed(int32_t value) {
  if (value < 0) console_write_byte('-');
  console_unsigned(value < 0 ? 0u - (uint32_t)value : (uint32_t)value);
}

void console_hex(uint32_t value) {
  console_text("0x");
  for (int shift = 28; shift >= 0; shift -= 4) {
    console_write_byte((uint8_t) "0123456789abcdef"[(value >> shift) & 0xFu]);
  }
}
