// SPDX-License-Identifier: Apache-2.0
#include "stm32/gpio.h"

#include "board_config.h"
#include "cortexm/cortexm.h"

#define GPIO_PORT_STRIDE 0x400u
#define GPIO_MODER 0x00u
#define GPIO_OTYPER 0x04u
#define GPIO_OSPEEDR 0x08u
#define GPIO_PUPDR 0x0Cu
#define GPIO_BSRR 0x18u
#define GPIO_AFRL 0x20u

#define GPIO_MODE_OUTPUT 1u
#define GPIO_MODE_ALTERNATE 2u
#define GPIO_SPEED_VERY_HIGH 3u
#define GPIO_PULL_UP 1u

static void set_field(uint32_t address, uint32_t index, uint32_t width, uint32_t value) {
  const uint32_t shift = index * width;
  const uint32_t mask = ((1u << width) - 1u) << shift;
  REGISTER32(address) = (REGISTER32(address) & ~mask) | (value << shift);
}

// The registers of a port, once its clock runs.
static uint32_t enabled(uint32_t port) {
  REGISTER32(BOARD_RCC_GPIO_ENABLE) |= 1u << port;
  (void)REGISTER32(BOARD_RCC_GPIO_ENABLE);  // The enable takes two bus cycles (RM0385 5.2.13).
  return BOARD_GPIO_BASE + port * GPIO_PORT_STRIDE;
}

void gpio_alternate(uint32_t port, uint32_t number, uint32_t alternate) {
  const uint32_t base = enabled(port);
  // The function is chosen before the mode, so that the pin never drives the wrong one.
  set_field(base + GPIO_AFRL + 4u * (number / 8u), number % 8u, 4u, alternate);
  set_field(base + GPIO_OSPEEDR, number, 2u, GPIO_SPEED_VERY_HIGH);
  set_field(base + GPIO_PUPDR, number, 2u, GPIO_PULL_UP);
  set_field(base + GPIO_MODER, number, 2u, GPIO_MODE_ALTERNATE);
}

void gpio_open_drain(uint32_t port, uint32_t number) {
  const uint32_t base = enabled(port);
  gpio_release(port, number, true);
  set_field(base + GPIO_OTYPER, number, 1u, 1u);
  set_field(base + GPIO_PUPDR, number, 2u, GPIO_PULL_UP);
  set_field(base + GPIO_MODER, number, 2u, GPIO_MODE_OUTPUT);
}

void gpio_release(uint32_t port, uint32_t number, bool released) {
  REGISTER32(BOARD_GPIO_BASE + port * GPIO_PORT_STRIDE + GPIO_BSRR) =
      1u << (released ? number : number + 16u);
}
