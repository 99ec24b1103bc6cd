// SPDX-License-Identifier: Apache-2.0
// The serial console: polled bytes, and text without the C library's printf.
#ifndef FIRMWARE_APP_CONSOLE_H_
#define FIRMWARE_APP_CONSOLE_H_

#include <stdbool.h>
#include <stdint.h>

// Implemented by the USART driver of the family.
void console_init(void);
void console_write_byte(uint8_t byte);
// Takes one received byte; false when there is none.
bool console_try_read(uint8_t* byte);

// Called once per turn of the main loop in which nothing was received. It does nothing; its
// address tells the emulator that the firmware has consumed everything and waits.
void console_idle(void);

void console_text(const char* text);
void console_unsigned(uint64_t value);
void console_signed(int32_t value);
void console_hex(uint32_t value);

#endif  // FIRMWARE_APP_CONSOLE_H_
