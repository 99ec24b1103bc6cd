// SPDX-License-Identifier: Apache-2.0
// STM32F7 system start: clocks from the board's data, then MPU, caches, cycle counter, console.
// Registers: RM0385 sections 3.7 (FLASH), 4.4 (PWR), 5.3 (RCC).

#include "cortexm/system.h"

#include "app/console.h"
#include "board_config.h"
#include "cortexm/cortexm.h"

#define FLASH_ACR REGISTER32(0x40023C00u)
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ARTEN (1u << 9)

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

// RM0385 section 4.1.4: the over-drive mode is mandatory above this clock.
#define OVER_DRIVE_ABOVE_HZ 180000000u

// RCC_CFGR PPREx encoding of a divider: 1 -> 0xx, 2 -> 100, 4 -> 101, 8 -> 110, 16 -> 111.
#define APB_PRESCALER(divider) \
  ((divider) == 1u ? 0u : (divider) == 2u ? 4u : (divider) == 4u ? 5u : (divider) == 8u ? 6u : 7u)

static void wait_for(volatile uint32_t* address, uint32_t bits) {
  while ((*address & bits) != bits) {
  }
}

// RM0385 section 4.1.4, "Entering Over-drive mode", with the PLL already running.
static void over_drive_enable(void) {
  PWR_CR1 |= PWR_CR1_ODEN;
  wait_for(&PWR_CSR1, PWR_CSR1_ODRDY);
  PWR_CR1 |= PWR_CR1_ODSWEN;
  wait_for(&PWR_CSR1, PWR_CSR1_ODSWRDY);
}

static void clock_init(void) {
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
  if (BOARD_CLOCK_SYSTEM_HZ > OVER_DRIVE_ABOVE_HZ) over_drive_enable();

  // Wait states before the clock goes up (RM0385 section 3.3.2); the write is read back because
  // it takes effect late. The accelerator serves only fetches through the ITCM alias.
  FLASH_ACR = BOARD_CLOCK_FLASH_WAIT_STATES | FLASH_ACR_PRFTEN | FLASH_ACR_ARTEN;
  while ((FLASH_ACR & 0xFu) != BOARD_CLOCK_FLASH_WAIT_STATES) {
  }

  RCC_CFGR = (APB_PRESCALER(BOARD_CLOCK_APB1_DIVIDER) << 10) |
             (APB_PRESCALER(BOARD_CLOCK_APB2_DIVIDER) << 13) | RCC_CFGR_SW_PLL;
  while ((RCC_CFGR & RCC_CFGR_SWS_MASK) != RCC_CFGR_SWS_PLL) {
  }
}

void system_init(void) {
  SCB_SHCSR |= SCB_SHCSR_MEMFAULTENA | SCB_SHCSR_BUSFAULTENA | SCB_SHCSR_USGFAULTENA;
  clock_init();
  mpu_init();
  cache_init();
  cycle_counter_init();
  console_init();
}
