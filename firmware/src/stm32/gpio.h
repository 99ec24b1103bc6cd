// SPDX-License-Identifier: Apache-2.0
// GPIO alternate functions and outputs. The block is the same on STM32F4, F7 and H7 (RM0385
// section 6.4).
#ifndef FIRMWARE_STM32_GPIO_H_
#define FIRMWARE_STM32_GPIO_H_

#include <stdbool.h>
#include <stdint.h>

// Enables the clock of port `port` (0 = A) and gives pin `number` alternate function `alternate`
// at the highest speed, with a pull-up.
void gpio_alternate(uint32_t port, uint32_t number, uint32_t alternate);

// Makes a pin an open-drain output with a pull-up, released.
void gpio_open_drain(uint32_t port, uint32_t number);
// Releases such a pin, or pulls it low.
void gpio_release(uint32_t port, uint32_t number, bool released);

#endif  // FIRMWARE_STM32_GPIO_H_
