// SPDX-License-Identifier: Apache-2.0
// Clocks of STM32H743 at up to 480 MHz (revision V): LDO, voltage scale 0, PLL1, wait states.
// Registers: RM0433 sections 4.9 (FLASH), 6.8 (PWR), 8.7 (RCC), 12.3 (SYSCFG).

#include "board_config.h"
#include "cortexm/cortexm.h"
#include "cortexm/system.h"

#define FLASH_ACR REGISTER32(0x52002000u)

#define PWR_CSR1 REGISTER32(0x58024804u)
#define PWR_CR3 REGISTER32(0x5802480Cu)
#define PWR_D3CR REGISTER32(0x58024818u)
#define PWR_CSR1_ACTVOSRDY (1u << 13)
#define PWR_CR3_LDOEN (1u << 1)
#define PWR_CR3_SCUEN (1u << 2)
#define PWR_D3CR_VOSRDY (1u << 13)
#define PWR_D3CR_VOS_SCALE_1 (3u << 14)

#define SYSCFG_PWRCR REGISTER32(0x5800042Cu)
#define SYSCFG_PWRCR_ODEN (1u << 0)

#define RCC_CR REGISTER32(0x58024400u)
#define RCC_CFGR REGISTER32(0x58024410u)
#define RCC_D1CFGR REGISTER32(0x58024418u)
#define RCC_D2CFGR REGISTER32(0x5802441Cu)
#define RCC_D3CFGR REGISTER32(0x58024420u)
#define RCC_PLLCKSELR REGISTER32(0x58024428u)
#define RCC_PLLCFGR REGISTER32(0x5802442Cu)
#define RCC_PLL1DIVR REGISTER32(0x58024430u)
#define RCC_APB4ENR REGISTER32(0x580244F4u)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_CFGR_SW_PLL1 3u
#define RCC_CFGR_SWS_MASK (7u << 3)
#define RCC_CFGR_SWS_PLL1 (3u << 3)
#define RCC_PLLCKSELR_SOURCE_HSE 2u
#define RCC_PLLCFGR_DIVP1EN (1u << 16)
#define RCC_APB4ENR_SYSCFGEN (1u << 1)

// The PLL's input, 1 to 16 MHz, selects a range of the same name (RM0433 section 8.7.12, PLL1RGE).
#define PLL_INPUT_HZ (BOARD_CLOCK_SOURCE_HZ / BOARD_CLOCK_PLL_M)
#define PLL_INPUT_RANGE \
  (PLL_INPUT_HZ < 2000000u ? 0u : PLL_INPUT_HZ < 4000000u ? 1u : PLL_INPUT_HZ < 8000000u ? 2u : 3u)

// RCC_D1CFGR HPRE and xPPRE encodings of a divider.
#define AHB_PRESCALER(divider) ((divider) == 1u ? 0u : (divider) == 2u ? 8u : 9u)
#define APB_PRESCALER(divider) ((divider) == 1u ? 0u : (divider) == 2u ? 4u : 5u)

static void wait_for(volatile uint32_t* address, uint32_t bits) {
  while ((*address & bits) != bits) {
  }
}

// RM0433 section 6.6.2: scale 0 is reached from scale 1, with the LDO, through SYSCFG.
static void voltage_scale_0(void) {
  // The supply is chosen once after power-on; SCUEN reset locks it (RM0433 section 6.4.1).
  PWR_CR3 = (PWR_CR3 & ~PWR_CR3_SCUEN) | PWR_CR3_LDOEN;
  wait_for(&PWR_CSR1, PWR_CSR1_ACTVOSRDY);
  PWR_D3CR |= PWR_D3CR_VOS_SCALE_1;
  wait_for(&PWR_D3CR, PWR_D3CR_VOSRDY);
  RCC_APB4ENR |= RCC_APB4ENR_SYSCFGEN;
  (void)RCC_APB4ENR;
  SYSCFG_PWRCR |= SYSCFG_PWRCR_ODEN;
  wait_for(&PWR_D3CR, PWR_D3CR_VOSRDY);
}

static void pll_start(void) {
  RCC_CR |= RCC_CR_HSEON | (BOARD_CLOCK_SOURCE_BYPASS ? RCC_CR_HSEBYP : 0u);
  wait_for(&RCC_CR, RCC_CR_HSERDY);
  RCC_PLLCKSELR = RCC_PLLCKSELR_SOURCE_HSE | (BOARD_CLOCK_PLL_M << 4);
  RCC_PLLCFGR = RCC_PLLCFGR_DIVP1EN | (PLL_INPUT_RANGE << 2);
  RCC_PLL1DIVR =
      (BOARD_CLOCK_PLL_N - 1u) | ((BOARD_CLOCK_PLL_P - 1u) << 9) | ((BOARD_CLOCK_PLL_Q - 1u) << 16);
  RCC_CR |= RCC_CR_PLL1ON;
  wait_for(&RCC_CR, RCC_CR_PLL1RDY);
}

void clock_init(void) {
  voltage_scale_0();
  pll_start();

  // Wait states and programming delay before the clock goes up (RM0433 section 4.3.8, table 17).
  FLASH_ACR = BOARD_CLOCK_FLASH_WAIT_STATES | BOARD_CLOCK_FLASH_CONTROL;
  while ((FLASH_ACR & 0xFu) != BOARD_CLOCK_FLASH_WAIT_STATES) {
  }

  const uint32_t apb1 = APB_PRESCALER(BOARD_CLOCK_APB1_DIVIDER);
  const uint32_t apb2 = APB_PRESCALER(BOARD_CLOCK_APB2_DIVIDER);
  // APB3 and APB4 have the same limit as APB1.
  RCC_D1CFGR = AHB_PRESCALER(BOARD_CLOCK_AHB_DIVIDER) | (apb1 << 4);
  RCC_D2CFGR = (apb1 << 4) | (apb2 << 8);
  RCC_D3CFGR = apb1 << 4;
  RCC_CFGR = RCC_CFGR_SW_PLL1;
  while ((RCC_CFGR & RCC_CFGR_SWS_MASK) != RCC_CFGR_SWS_PLL1) {
  }
}
