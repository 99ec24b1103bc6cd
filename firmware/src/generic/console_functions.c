// SPDX-License-Identifier: Apache-2.0
// A console whose port is the user's: see board_hooks.h. Without definitions of the user's the text
// goes nowhere and images come through the memory window (app/window.h).

#include "app/console.h"
#include "generic/board_hooks.h"

__attribute__((weak)) void board_console_init(void) {}
__attribute__((weak)) void board_putc(uint8_t byte) { (void)byte; }
__attribute__((weak)) int board_getc(void) { return -1; }

void console_init(void) { board_console_init(); }

void console_write_byte(uint8_t byte) { board_putc(byte); }

bool console_try_read(uint8_t* byte) {
  const int received = board_getc();
  if (received < 0) return false;
  *byte = (uint8_t)received;
  return true;
}
