// SPDX-License-Identifier: Apache-2.0
// Memory-mapped external flash: made readable at start, and checked to hold this model's weights.
#ifndef FIRMWARE_APP_EXTERNAL_FLASH_H_
#define FIRMWARE_APP_EXTERNAL_FLASH_H_

#include <stdbool.h>
#include <stdint.h>

// Implemented by the driver of the family: identifies the flash device and maps it. Returns its
// JEDEC id (manufacturer << 16 | type << 8 | capacity); *known tells whether it is supported.
uint32_t external_flash_map(bool* known);

// Maps the flash and compares the CRC-32 of the weights with what the linker's image had. Prints a
// line on the console when something is wrong.
bool external_flash_check(void);

#endif  // FIRMWARE_APP_EXTERNAL_FLASH_H_
