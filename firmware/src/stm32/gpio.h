// SPDX-License-Identifier: Apache-2.0
// GPIO alternate functions. The block is the same on STM32F4, F7 and H7 (RM0385 section 6.4).
#ifndef FIRMWARE_STM32_GPIO_H_
#define FIRMWARE_STM32_GPIO_H_

#include <stdint.h>

// Enables the clock of port `port` (0 = A) and gives pin `number` alternate function `alternate`
// at the highest speed, with a pull-up.
void gpio_alternate(uint32_t port, uint32_t number, uint32_t alternate);

#endif  // FIRMWARE_STM32_GPIO_H_
