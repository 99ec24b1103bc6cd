// SPDX-License-Identifier: Apache-2.0
// What happens between reset_handler and main.

#include "cortexm/system.h"

#include "app/console.h"
#include "cortexm/cortexm.h"

void system_init(void) {
#if __ARM_ARCH >= 7  // Armv6-M has HardFault only.
  SCB_SHCSR |= SCB_SHCSR_MEMFAULTENA | SCB_SHCSR_BUSFAULTENA | SCB_SHCSR_USGFAULTENA;
#endif
  clock_init();
  mpu_init();
  cache_init();
  cycle_counter_init();
  console_init();
}
