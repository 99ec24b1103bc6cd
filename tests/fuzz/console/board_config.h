// SPDX-License-Identifier: Apache-2.0
// Of a board for fuzz_console.c.
#define BOARD_CLOCK_SYSTEM_HZ 1000u
#define BOARD_NAME "host"
