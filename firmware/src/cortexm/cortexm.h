// SPDX-License-Identifier: Apache-2.0
// The system registers of the core that the start-up code uses.
// Sources: Armv7-M Architecture Reference Manual (DDI 0403) chapters B3 and C1; PM0253 section 4.
// Armv6-M (DDI 0419) has VTOR, where implemented, and SysTick of these; Armv8-M (DDI 0553) all but
// the MPU's.
#ifndef FIRMWARE_CORTEXM_CORTEXM_H_
#define FIRMWARE_CORTEXM_CORTEXM_H_

#include <stdint.h>

#define REGISTER32(address) (*(volatile uint32_t*)(uintptr_t)(address))

// System control block, PM0253 section 4.3.
#define SCB_VTOR REGISTER32(0xE000ED08u)
#define SCB_CCR REGISTER32(0xE000ED14u)
#define SCB_SHCSR REGISTER32(0xE000ED24u)
#define SCB_CFSR REGISTER32(0xE000ED28u)
#define SCB_HFSR REGISTER32(0xE000ED2Cu)
#define SCB_MMFAR REGISTER32(0xE000ED34u)
#define SCB_BFAR REGISTER32(0xE000ED38u)
#define SCB_CPACR REGISTER32(0xE000ED88u)

#define SCB_CCR_DC (1u << 16)
#define SCB_CCR_IC (1u << 17)
#define SCB_SHCSR_MEMFAULTENA (1u << 16)
#define SCB_SHCSR_BUSFAULTENA (1u << 17)
#define SCB_SHCSR_USGFAULTENA (1u << 18)

// System timer, DDI 0403 section B3.3.
#define SYST_CSR REGISTER32(0xE000E010u)
#define SYST_RVR REGISTER32(0xE000E014u)
#define SYST_CVR REGISTER32(0xE000E018u)
#define SYST_CSR_ENABLE (1u << 0)
#define SYST_CSR_TICKINT (1u << 1)
#define SYST_CSR_CLKSOURCE_CORE (1u << 2)
#define SYST_LAST 0xFFFFFFu

// Caches, PM0253 sections 4.2 (identification) and 4.8 (maintenance).
#define SCB_CCSIDR REGISTER32(0xE000ED80u)
#define SCB_CSSELR REGISTER32(0xE000ED84u)
#define SCB_ICIALLU REGISTER32(0xE000EF50u)
#define SCB_DCISW REGISTER32(0xE000EF60u)

// Memory protection unit, PM0253 section 4.6.
#define MPU_TYPE REGISTER32(0xE000ED90u)
#define MPU_CTRL REGISTER32(0xE000ED94u)
#define MPU_RNR REGISTER32(0xE000ED98u)
#define MPU_RBAR REGISTER32(0xE000ED9Cu)
#define MPU_RASR REGISTER32(0xE000EDA0u)

#define MPU_CTRL_ENABLE (1u << 0)
#define MPU_CTRL_PRIVDEFENA (1u << 2)

// Debug and trace, DDI 0403 sections C1.6.5 and C1.8.
#define COREDEBUG_DHCSR REGISTER32(0xE000EDF0u)
#define COREDEBUG_DHCSR_C_DEBUGEN (1u << 0)
#define COREDEBUG_DEMCR REGISTER32(0xE000EDFCu)
#define COREDEBUG_DEMCR_TRCENA (1u << 24)
#define DWT_CTRL REGISTER32(0xE0001000u)
#define DWT_CYCCNT REGISTER32(0xE0001004u)
#define DWT_LAR REGISTER32(0xE0001FB0u)
#define DWT_CTRL_CYCCNTENA (1u << 0)
#define DWT_LAR_KEY 0xC5ACCE55u

static inline void cortexm_dsb(void) { __asm volatile("dsb" ::: "memory"); }
static inline void cortexm_isb(void) { __asm volatile("isb" ::: "memory"); }

#endif  // FIRMWARE_CORTEXM_CORTEXM_H_
