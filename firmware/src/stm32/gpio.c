// SPDX-License-Identifier: Apache-2.0
#include "stm32/gpio.h"

#include "board_config.h"
#include "cortexm/cortexm.h"

#define GPIO_PORT_STRIDE 0x400u
#define GPIO_MODER 0x00u
#define GPIO_OSPEEDR 0x08u
#define GPIO_PUPDR 0x0Cu
#define GPIO_AFRL 0x20u

#define GPIO_MODE_ALTERNATE 2u
#define GPIO_SPEED_VERY_HIGH 3u
#define GPIO_PULL_UP 1u

static void set_field(uint32_t address, uint32_t index, uint32_t width, uint32_t value) {
  const uint32_t shift = index * width;
  const uint32_t mask = ((1u << width) - 1u) << shift;
  REGISTER32(address) = (REGISTER32(address) & ~mask) | (value << shift);
}

void gpio_alternate(uint32_t port, uint32_t number, uint32_t alternate) {
  REGISTER32(BOARD_RCC_GPIO_ENABLE) |= 1u << port;
  (void)REGISTER32(BOARD_RCC_GPIO_ENABLE);  // The enable takes two bus cycles (RM0385 5.2.13).
  const uint32_t base = BOARD_GPIO_BASE + port * GPIO_PORT_STRIDE;
  // The function is chosen before the mode, so that the pin never drives the wrong one.
  set_field(base + GPIO_AFRL + 4u * (number / 8u), number % 8u, 4u, alternate);
  set_field(base + GPIO_OSPEEDR, number, 2u, GPIO_SPEED_VERY_HIGH);
  set_field(base + GPIO_PUPDR, number, 2u, GPIO_PULL_UP);
  set_field(base + GPIO_MODER, number, 2u, GPIO_MODE_ALTERNATE);
}
