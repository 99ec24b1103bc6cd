// SPDX-License-Identifier: Apache-2.0
#include "app/external_flash.h"

#include "app/console.h"
#include "app/frame.h"
#include "external_image.h"

#if EXTERNAL_IMAGE_BYTES

extern const uint8_t __extflash_start[];

bool external_flash_check(void) {
  bool known = false;
  const uint32_t id = external_flash_map(&known);
  if (!known) {
    console_text("external flash: unknown device, JEDEC id ");
    console_hex(id);
    console_text("\r\n");
    return false;
  }
  const uint32_t crc = ~frame_crc32_update(0xFFFFFFFFu, __extflash_start, EXTERNAL_IMAGE_BYTES);
  if (crc != EXTERNAL_IMAGE_CRC32) {
    console_text("external flash: holds other weights, CRC ");
    console_hex(crc);
    console_text(", expected ");
    console_hex(EXTERNAL_IMAGE_CRC32);
    console_text("; program the external image\r\n");
    return false;
  }
  return true;
}

#else

bool external_flash_check(void) { return true; }

#endif
