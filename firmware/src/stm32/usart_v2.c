// SPDX-License-Identifier: Apache-2.0
// USART with ISR/RDR/TDR registers (STM32F7 and H7), RM0385 section 31.8.

#include "app/console.h"
#include "board_config.h"
#include "cortexm/cortexm.h"
#include "stm32/gpio.h"

#define USART_CR1 REGISTER32(BOARD_CONSOLE_BASE + 0x00u)
#define USART_BRR REGISTER32(BOARD_CONSOLE_BASE + 0x0Cu)
#define USART_ISR REGISTER32(BOARD_CONSOLE_BASE + 0x1Cu)
#define USART_ICR REGISTER32(BOARD_CONSOLE_BASE + 0x20u)
#define USART_RDR REGISTER32(BOARD_CONSOLE_BASE + 0x24u)
#define USART_TDR REGISTER32(BOARD_CONSOLE_BASE + 0x28u)

#define USART_CR1_UE (1u << 0)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_ISR_ERRORS 0xFu  // Parity, framing, noise, overrun: the same bits clear in ICR.
#define USART_ISR_RXNE (1u << 5)
#define USART_ISR_TXE (1u << 7)

void console_init(void) {
  REGISTER32(BOARD_CONSOLE_CLOCK_ENABLE) |= 1u << BOARD_CONSOLE_CLOCK_ENABLE_BIT;
  (void)REGISTER32(BOARD_CONSOLE_CLOCK_ENABLE);
  gpio_alternate(BOARD_CONSOLE_TX_PORT, BOARD_CONSOLE_TX_PIN, BOARD_CONSOLE_TX_ALTERNATE);
  gpio_alternate(BOARD_CONSOLE_RX_PORT, BOARD_CONSOLE_RX_PIN, BOARD_CONSOLE_RX_ALTERNATE);
  // Oversampling by 16: BRR is the divider itself, rounded (RM0385 section 31.5.4).
  USART_BRR = (BOARD_CONSOLE_CLOCK_HZ + BOARD_CONSOLE_BAUD / 2u) / BOARD_CONSOLE_BAUD;
  USART_CR1 = USART_CR1_UE | USART_CR1_RE | USART_CR1_TE;
}

void console_write_byte(uint8_t byte) {
  while ((USART_ISR & USART_ISR_TXE) == 0u) {
  }
  USART_TDR = byte;
}

bool console_try_read(uint8_t* byte) {
  const uint32_t status = USART_ISR;
  // A byte with a line error is passed on: the frame's CRC finds it. The flags must be cleared,
  // because an overrun stops reception (RM0385 section 31.5.3).
  if ((status & USART_ISR_ERRORS) != 0u) USART_ICR = status & USART_ISR_ERRORS;
  if ((status & USART_ISR_RXNE) == 0u) return false;
  *byte = (uint8_t)USART_RDR;
  return true;
}
