// SPDX-License-Identifier: Apache-2.0
// Vector table (PM0253 section 2.4.4). The firmware polls and enables no interrupt but, on
// cores without DWT, SysTick's, so the table ends after the sixteen system exceptions.

#include <stdint.h>

#include "board_config.h"

extern uint32_t __stack_top[];
void reset_handler(void);
void fault_handler(void);
#if BOARD_CYCLE_COUNTER_SYSTICK
void systick_handler(void);
#endif

typedef union {
  void (*handler)(void);
  void* stack;
} Vector;

// VTOR needs an alignment of the table size rounded up to a power of two, at least 128 bytes.
__attribute__((section(".vectors"), used, aligned(128))) static const Vector vectors[16] = {
    {.stack = __stack_top},      // Initial stack pointer.
    {.handler = reset_handler},  // Reset.
    {.handler = fault_handler},  // NMI: the clock security system is not used; report it.
    {.handler = fault_handler},  // HardFault.
    {.handler = fault_handler},  // MemManage: MPU, e.g. the stack guard.
    {.handler = fault_handler},  // BusFault.
    {.handler = fault_handler},  // UsageFault.
    {.stack = 0},
    {.stack = 0},
    {.stack = 0},
    {.stack = 0},
    {.handler = fault_handler},  // SVCall: not used.
    {.handler = fault_handler},  // Debug monitor.
    {.stack = 0},
    {.handler = fault_handler},  // PendSV: not used.
#if BOARD_CYCLE_COUNTER_SYSTICK
    {.handler = systick_handler},  // Counts wraps of the cycle counter.
#else
    {.handler = fault_handler},  // SysTick: not used.
#endif
};
