// SPDX-License-Identifier: Apache-2.0
// What a board given by its regions may supply in C files of its own ("sources" in its JSON file).
//
// All of these have weak definitions that do nothing; define those that the board needs. They run
// on the real board only: the emulator has none of its registers, and stands in for each of them.
#ifndef FIRMWARE_GENERIC_BOARD_HOOKS_H_
#define FIRMWARE_GENERIC_BOARD_HOOKS_H_

#include <stdbool.h>
#include <stdint.h>

// First, with .data and .bss ready: watchdog, power, and the clock if reset does not leave the core
// at BOARD_CLOCK_SYSTEM_HZ.
void board_init(void);

// With "console": "functions". Opens the port, at BOARD_CONSOLE_BAUD bits per second.
void board_console_init(void);
// Sends a byte; waits until there is room for it.
void board_putc(uint8_t byte);
// Takes a received byte, 0..255; -1 when there is none. Must not wait.
int board_getc(void);

// Makes the external flash readable at its origin. Returns its JEDEC id (manufacturer << 16 | type
// << 8 | capacity), or 0; *known = false stops the firmware with a line on the console. Nothing to
// do where the boot ROM has mapped it.
uint32_t board_external_flash_map(bool* known);

#endif  // FIRMWARE_GENERIC_BOARD_HOOKS_H_
