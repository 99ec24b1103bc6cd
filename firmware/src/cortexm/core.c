// SPDX-License-Identifier: Apache-2.0
// Caches, MPU, cycle counter and stack measurement.

#include "board_config.h"
#include "cortexm/cortexm.h"
#include "cortexm/system.h"

extern uint32_t __stack_bottom[];
extern uint32_t __stack_top[];

#define STACK_PAINT 0xA5A5A5A5u
#define STACK_GUARD_SIZE_LOG2 5u  // The smallest MPU region, 32 bytes.

#if BOARD_MPU_REGIONS

// MPU_RASR fields, PM0253 section 4.6.6.
#define MPU_RASR_ENABLE (1u << 0)
#define MPU_RASR_SIZE(log2) (((log2)-1u) << 1)
#define MPU_RASR_CACHEABLE (1u << 17)  // With TEX = 0, B = 0: normal memory, write-through.
#define MPU_RASR_AP_NONE (0u << 24)
#define MPU_RASR_AP_READ_ONLY (6u << 24)
#define MPU_RASR_NO_EXECUTE (1u << 28)

// Later regions win over earlier ones.
#define MPU_REGION_STACK_GUARD 0u
#define MPU_REGION_EXTERNAL_WINDOW 1u
#define MPU_REGION_EXTERNAL_FLASH 2u

static void mpu_region(uint32_t number, uint32_t base, uint32_t attributes) {
  MPU_RNR = number;
  MPU_RBAR = base;
  MPU_RASR = attributes | MPU_RASR_ENABLE;
}

static void mpu_enable(void) {
  MPU_CTRL = MPU_CTRL_ENABLE | MPU_CTRL_PRIVDEFENA;
  cortexm_dsb();
  cortexm_isb();
}

void mpu_init(void) {
  mpu_region(MPU_REGION_STACK_GUARD, (uint32_t)(uintptr_t)__stack_bottom,
             MPU_RASR_SIZE(STACK_GUARD_SIZE_LOG2) | MPU_RASR_AP_NONE | MPU_RASR_NO_EXECUTE);
#if BOARD_HAS_QUADSPI
  mpu_region(MPU_REGION_EXTERNAL_WINDOW, BOARD_EXTERNAL_FLASH_BASE,
             MPU_RASR_SIZE(28u) | MPU_RASR_AP_NONE | MPU_RASR_NO_EXECUTE);
#endif
  mpu_enable();
}

void mpu_allow_external_flash(uint32_t base, uint32_t size_log2) {
  mpu_region(
      MPU_REGION_EXTERNAL_FLASH, base,
      MPU_RASR_SIZE(size_log2) | MPU_RASR_AP_READ_ONLY | MPU_RASR_CACHEABLE | MPU_RASR_NO_EXECUTE);
  mpu_enable();
}

#elif __ARM_ARCH >= 8

// The stack pointer's own limit (DDI 0553, MSPLIM) guards as much as the MPU's region would.
void mpu_init(void) {
  const uint32_t limit = (uint32_t)(uintptr_t)__stack_bottom + (1u << STACK_GUARD_SIZE_LOG2);
  __asm volatile("msr msplim, %0" ::"r"(limit));
}

#else

void mpu_init(void) {}

#endif

#if BOARD_DATA_CACHE_BYTES
// Invalidates the L1 data cache by set and way (PM0253 section 4.8.2): its contents are undefined
// after reset.
static void data_cache_invalidate(void) {
  SCB_CSSELR = 0;  // Level 1, data.
  cortexm_dsb();
  const uint32_t geometry = SCB_CCSIDR;
  const uint32_t last_set = (geometry >> 13) & 0x7FFFu;
  const uint32_t last_way = (geometry >> 3) & 0x3FFu;
  for (uint32_t set = 0; set <= last_set; ++set) {
    for (uint32_t way = 0; way <= last_way; ++way) {
      SCB_DCISW = (set << 5) | (way << 30);
    }
  }
  cortexm_dsb();
}
#endif

void cache_init(void) {
#if BOARD_INSTRUCTION_CACHE_BYTES
  cortexm_dsb();
  cortexm_isb();
  SCB_ICIALLU = 0;
  cortexm_dsb();
  cortexm_isb();
  SCB_CCR |= SCB_CCR_IC;
#endif
#if BOARD_DATA_CACHE_BYTES
  data_cache_invalidate();
  SCB_CCR |= SCB_CCR_DC;
#endif
  cortexm_dsb();
  cortexm_isb();
}

#if BOARD_CYCLE_COUNTER_SYSTICK

static volatile uint32_t systick_wraps;

// The only interrupt that the firmware uses.
void systick_handler(void) { ++systick_wraps; }

void cycle_counter_init(void) {
  systick_wraps = 0;
  SYST_RVR = SYST_LAST;
  SYST_CVR = 0;  // Any write clears; the first count loads RVR.
  SYST_CSR = SYST_CSR_ENABLE | SYST_CSR_TICKINT | SYST_CSR_CLKSOURCE_CORE;
}

uint32_t cycle_counter_read(void) {
  uint32_t wraps, left;
  do {
    wraps = systick_wraps;
    left = SYST_CVR;
    cortexm_dsb();  // A wrap just before the read above has had its interrupt after these two.
    cortexm_isb();
  } while (wraps != systick_wraps);
  return (wraps << 24) + (SYST_LAST - left);
}

#else

void cycle_counter_init(void) {
  COREDEBUG_DEMCR |= COREDEBUG_DEMCR_TRCENA;
#if BOARD_DWT_HAS_LOCK
  DWT_LAR = DWT_LAR_KEY;
#endif
  DWT_CYCCNT = 0;
  DWT_CTRL |= DWT_CTRL_CYCCNTENA;
}

uint32_t cycle_counter_read(void) { return DWT_CYCCNT; }

#endif

uint32_t stack_high_water_bytes(void) {
  const uint32_t* word = __stack_bottom + (1u << STACK_GUARD_SIZE_LOG2) / sizeof(uint32_t);
  while (word < __stack_top && *word == STACK_PAINT) ++word;
  return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)word);
}

uint32_t stack_size_bytes(void) {
  return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)__stack_bottom);
}
