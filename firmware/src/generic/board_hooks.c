// SPDX-License-Identifier: Apache-2.0
#include "generic/board_hooks.h"

#include "app/external_flash.h"
#include "board_config.h"
#include "cortexm/cortexm.h"
#include "cortexm/system.h"

__attribute__((weak)) void board_init(void) {}

__attribute__((weak)) uint32_t board_external_flash_map(bool* known) {
  *known = true;
  return 0;
}

void clock_init(void) {
  // The image may not lie where the core looks for vectors after reset, e.g. behind a boot loader.
  SCB_VTOR = BOARD_CODE_BASE;
  cortexm_dsb();
  board_init();
}

uint32_t external_flash_map(bool* known) { return board_external_flash_map(known); }
