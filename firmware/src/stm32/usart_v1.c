// SPDX-License-Identifier: Apache-2.0
// USART with SR and DR registers (STM32F4), RM0090 section 30.6.

#include "app/console.h"
#include "board_config.h"
#include "cortexm/cortexm.h"
#include "stm32/gpio.h"

#define USART_SR REGISTER32(BOARD_CONSOLE_BASE + 0x00u)
#define USART_DR REGISTER32(BOARD_CONSOLE_BASE + 0x04u)
#define USART_BRR REGISTER32(BOARD_CONSOLE_BASE + 0x08u)
#define USART_CR1 REGISTER32(BOARD_CONSOLE_BASE + 0x0Cu)

#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_UE (1u << 13)
#define USART_SR_ERRORS 0xFu  // Parity, framing, noise, overrun.
#define USART_SR_RXNE (1u << 5)
#define USART_SR_TXE (1u << 7)

void console_init(void) {
  REGISTER32(BOARD_CONSOLE_CLOCK_ENABLE) |= 1u << BOARD_CONSOLE_CLOCK_ENABLE_BIT;
  (void)REGISTER32(BOARD_CONSOLE_CLOCK_ENABLE);
  gpio_alternate(BOARD_CONSOLE_TX_PORT, BOARD_CONSOLE_TX_PIN, BOARD_CONSOLE_TX_ALTERNATE);
  gpio_alternate(BOARD_CONSOLE_RX_PORT, BOARD_CONSOLE_RX_PIN, BOARD_CONSOLE_RX_ALTERNATE);
  // Oversampling by 16: mantissa and fraction together are the divider itself (RM0090 30.3.4).
  USART_BRR = (BOARD_CONSOLE_CLOCK_HZ + BOARD_CONSOLE_BAUD / 2u) / BOARD_CONSOLE_BAUD;
  USART_CR1 = USART_CR1_UE | USART_CR1_RE | USART_CR1_TE;
}

void console_write_byte(uint8_t byte) {
  while ((USART_SR & USART_SR_TXE) == 0u) {
  }
  USART_DR = byte;
}

bool console_try_read(uint8_t* byte) {
  // A byte with a line error is passed on: the frame's CRC finds it. Reading SR and then DR clears
  // the error flags (RM0090 section 30.6.1), also those of an overrun without RXNE.
  const uint32_t status = USART_SR;
  if ((status & (USART_SR_RXNE | USART_SR_ERRORS)) == 0u) return false;
  *byte = (uint8_t)USART_DR;
  return (status & USART_SR_RXNE) != 0u;
}
