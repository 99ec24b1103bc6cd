// SPDX-License-Identifier: Apache-2.0
// What runs before main(), and what any code may ask of the core afterwards.
#ifndef FIRMWARE_CORTEXM_SYSTEM_H_
#define FIRMWARE_CORTEXM_SYSTEM_H_

#include <stdint.h>

// Called by reset_handler after memory is initialised: faults, MPU, caches, clocks, console.
void system_init(void);

// Implemented by the clock driver of the family: brings the core to BOARD_CLOCK_SYSTEM_HZ.
void clock_init(void);

// Starts the cycle counter: DWT, which needs the unlock on Cortex-M7 (RM0385 section 40.9), or
// SysTick where the board says so.
void cycle_counter_init(void);
// CPU cycles since cycle_counter_init(), modulo 2^32 (19.9 s at 216 MHz).
uint32_t cycle_counter_read(void);

// Enables the caches that the core has.
void cache_init(void);

// Sets up the MPU (or, on Armv8-M, the stack limit): a guard below the stack, and `external_flash`
// (0 = none) of `size_log2` bytes. Without a mapped external flash its whole window is made
// inaccessible, because speculative reads into an unmapped QSPI window can hang the bus (AN4760).
void mpu_init(void);
void mpu_allow_external_flash(uint32_t base, uint32_t size_log2);

// Bytes of stack ever used: from the top down to the lowest word that lost the reset's paint.
uint32_t stack_high_water_bytes(void);
// Bytes reserved for the stack.
uint32_t stack_size_bytes(void);

#endif  // FIRMWARE_CORTEXM_SYSTEM_H_
