// SPDX-License-Identifier: Apache-2.0
// Clocks of STM32F42x/F43x and STM32F74x/F75x: external oscillator, PLL, over-drive, wait states.
//
// The two families share these registers. F7: RM0385 sections 3.7 (FLASH), 4.4 (PWR), 5.3 (RCC).
// F4: RM0090 sections 3.9 (FLASH), 5.4 (PWR), 6.3 (RCC).

#include "board_config.h"
#include "cortexm/cortexm.h"
#include "cortexm/system.h"

#define FLASH_ACR REGISTER32(0x40023C00u)

#define PWR_CR1 REGISTER32(0x40007000u)
#define PWR_CSR1 REGISTER32(0x40007004u)
#define PWR_CR1_VOS_SCALE_1 (3u << 14)
#define PWR_CR1_ODEN (1u << 16)
#define PWR_CR1_ODSWEN (1u << 17)
#define PWR_CSR1_ODRDY (1u << 16)
#define PWR_CSR1_ODSWRDY (1u << 17)

#define RCC_CR REGISTER32(0x40023800u)
#define RCC_PLLCFGR REGISTER32(0x40023804u)
#define RCC_CFGR REGISTER32(0x40023808u)
#define RCC_APB1ENR REGISTER32(0x40023840u)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR_SOURCE_HSE (1u << 22)
#define RCC_CFGR_SW_PLL 2u
#define RCC_CFGR_SWS_MASK (3u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_APB1ENR_PWREN (1u << 28)

// RCC_CFGR PPREx encoding of a divider: 1 -> 0xx, 2 -> 100, 4 -> 101, 8 -> 110, 16 -> 111.
#define APB_PRESCALER(divider) \
  ((divider) == 1u ? 0u : (divider) == 2u ? 4u : (divider) == 4u ? 5u : (divider) == 8u ? 6u : 7u)

static void wait_for(volatile uint32_t* address, uint32_t bits) {
  while ((*address & bits) != bits) {
  }
}

// "Entering Over-drive mode" (RM0385 section 4.1.4, RM0090 section 5.1.4), the PLL running already.
static void over_drive_enable(void) {
  PWR_CR1 |= PWR_CR1_ODEN;
  wait_for(&PWR_CSR1, PWR_CSR1_ODRDY);
  PWR_CR1 |= PWR_CR1_ODSWEN;
  wait_for(&PWR_CSR1, PWR_CSR1_ODSWRDY);
}

void clock_init(void) {
  RCC_APB1ENR |= RCC_APB1ENR_PWREN;
  (void)RCC_APB1ENR;
  PWR_CR1 |= PWR_CR1_VOS_SCALE_1;

  RCC_CR |= RCC_CR_HSEON | (BOARD_CLOCK_SOURCE_BYPASS ? RCC_CR_HSEBYP : 0u);
  wait_for(&RCC_CR, RCC_CR_HSERDY);
  RCC_PLLCFGR = BOARD_CLOCK_PLL_M | (BOARD_CLOCK_PLL_N << 6) |
                ((BOARD_CLOCK_PLL_P / 2u - 1u) << 16) | RCC_PLLCFGR_SOURCE_HSE |
                (BOARD_CLOCK_PLL_Q << 24);
  RCC_CR |= RCC_CR_PLLON;
  wait_for(&RCC_CR, RCC_CR_PLLRDY);
  if (BOARD_CLOCK_SYSTEM_HZ > BOARD_CLOCK_OVER_DRIVE_ABOVE_HZ) over_drive_enable();

  // Wait states before the clock goes up (RM0385 section 3.3.2, RM0090 section 3.5.1); the write is
  // read back because it takes effect late.
  FLASH_ACR = BOARD_CLOCK_FLASH_WAIT_STATES | BOARD_CLOCK_FLASH_CONTROL;
  while ((FLASH_ACR & 0xFu) != BOARD_CLOCK_FLASH_WAIT_STATES) {
  }

  RCC_CFGR = (APB_PRESCALER(BOARD_CLOCK_APB1_DIVIDER) << 10) |
             (APB_PRESCALER(BOARD_CLOCK_APB2_DIVIDER) << 13) | RCC_CFGR_SW_PLL;
  while ((RCC_CFGR & RCC_CFGR_SWS_MASK) != RCC_CFGR_SWS_PLL) {
  }
}
