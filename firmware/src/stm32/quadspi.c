// SPDX-License-Identifier: Apache-2.0
// QUADSPI in memory-mapped mode (RM0385 section 14) for the flash parts that these boards carry.
//
// The same board is sold with different parts: the JEDEC id is read first. N25Q128A and MT25QL128
// need their number of dummy cycles set, W25Q128J needs quad mode enabled. All are read with Fast
// Read Quad Output (0x6B): address on one line, data on four.

#include <stddef.h>

#include "app/external_flash.h"
#include "board_config.h"
#include "cortexm/cortexm.h"
#include "cortexm/system.h"
#include "external_image.h"
#include "stm32/gpio.h"

#if EXTERNAL_IMAGE_BYTES

#define QUADSPI_CR REGISTER32(BOARD_QUADSPI_BASE + 0x00u)
#define QUADSPI_DCR REGISTER32(BOARD_QUADSPI_BASE + 0x04u)
#define QUADSPI_SR REGISTER32(BOARD_QUADSPI_BASE + 0x08u)
#define QUADSPI_FCR REGISTER32(BOARD_QUADSPI_BASE + 0x0Cu)
#define QUADSPI_DLR REGISTER32(BOARD_QUADSPI_BASE + 0x10u)
#define QUADSPI_CCR REGISTER32(BOARD_QUADSPI_BASE + 0x14u)
#define QUADSPI_DR_BYTE (*(volatile uint8_t*)(uintptr_t)(BOARD_QUADSPI_BASE + 0x20u))

#define CR_EN (1u << 0)
#define CR_SSHIFT (1u << 4)
#define CR_PRESCALER(value) ((value) << 24)
#define DCR_CSHT_CYCLES(cycles) (((cycles)-1u) << 8)
#define DCR_FSIZE(log2) (((log2)-1u) << 16)
#define SR_TCF (1u << 1)
#define SR_BUSY (1u << 5)
#define FCR_CTCF (1u << 1)

#define CCR_INSTRUCTION_ONE_LINE (1u << 8)
#define CCR_ADDRESS_ONE_LINE (1u << 10)
#define CCR_ADDRESS_24_BITS (2u << 12)
#define CCR_DUMMY_CYCLES(cycles) ((cycles) << 18)
#define CCR_DATA_ONE_LINE (1u << 24)
#define CCR_DATA_FOUR_LINES (3u << 24)
#define CCR_INDIRECT_WRITE (0u << 26)
#define CCR_INDIRECT_READ (1u << 26)
#define CCR_MEMORY_MAPPED (3u << 26)

#define COMMAND_RESET_ENABLE 0x66u
#define COMMAND_RESET 0x99u
#define COMMAND_READ_ID 0x9Fu
#define COMMAND_WRITE_ENABLE 0x06u
#define COMMAND_FAST_READ_QUAD_OUTPUT 0x6Bu
#define N25Q_READ_VOLATILE_CONFIGURATION 0x85u
#define N25Q_WRITE_VOLATILE_CONFIGURATION 0x81u
#define N25Q_DUMMY_CYCLES 10u
#define W25Q_READ_STATUS_2 0x35u
#define W25Q_WRITE_STATUS_2 0x31u
#define W25Q_WRITE_ENABLE_VOLATILE 0x50u
#define W25Q_STATUS_2_QUAD_ENABLE (1u << 1)
#define W25Q_DUMMY_CYCLES 8u

// The longest reset of the parts: W25Q128J tRST = 30 us.
#define RESET_MICROSECONDS 100u
// Chip select stays high for at least 50 ns between commands: 4 cycles of 72 MHz.
#define CHIP_SELECT_HIGH_CYCLES 4u

static void finish(void) {
  while ((QUADSPI_SR & SR_TCF) == 0u) {
  }
  QUADSPI_FCR = FCR_CTCF;
  while ((QUADSPI_SR & SR_BUSY) != 0u) {
  }
}

static void command(uint32_t instruction) {
  QUADSPI_CCR = CCR_INDIRECT_WRITE | CCR_INSTRUCTION_ONE_LINE | instruction;
  finish();
}

static void command_read(uint32_t instruction, uint8_t* bytes, uint32_t count) {
  QUADSPI_DLR = count - 1u;
  QUADSPI_CCR = CCR_INDIRECT_READ | CCR_DATA_ONE_LINE | CCR_INSTRUCTION_ONE_LINE | instruction;
  for (uint32_t i = 0; i < count; ++i) bytes[i] = QUADSPI_DR_BYTE;
  finish();
}

static void command_write(uint32_t instruction, uint8_t byte) {
  QUADSPI_DLR = 0;
  QUADSPI_CCR = CCR_INDIRECT_WRITE | CCR_DATA_ONE_LINE | CCR_INSTRUCTION_ONE_LINE | instruction;
  QUADSPI_DR_BYTE = byte;
  finish();
}

// N25Q128A and MT25QL128: volatile configuration register bits 7:4 are the dummy cycles.
static void prepare_n25q(void) {
  uint8_t configuration = 0;
  command_read(N25Q_READ_VOLATILE_CONFIGURATION, &configuration, 1u);
  configuration = (uint8_t)((configuration & 0x0Fu) | (N25Q_DUMMY_CYCLES << 4));
  command(COMMAND_WRITE_ENABLE);
  command_write(N25Q_WRITE_VOLATILE_CONFIGURATION, configuration);
}

// W25Q128J: QE in status register 2; the volatile write does not wear the part.
static void prepare_w25q(void) {
  uint8_t status = 0;
  command_read(W25Q_READ_STATUS_2, &status, 1u);
  command(W25Q_WRITE_ENABLE_VOLATILE);
  command_write(W25Q_WRITE_STATUS_2, (uint8_t)(status | W25Q_STATUS_2_QUAD_ENABLE));
}

typedef struct {
  uint32_t jedec_id;
  void (*prepare)(void);
  uint32_t dummy_cycles;
} Device;

static const Device devices[] = {
    {0x20BA18u, prepare_n25q, N25Q_DUMMY_CYCLES},  // N25Q128A, MT25QL128.
    {0xEF4018u, prepare_w25q, W25Q_DUMMY_CYCLES},  // W25Q128JV-IQ.
    {0xEF7018u, prepare_w25q, W25Q_DUMMY_CYCLES},  // W25Q128JV-IM.
};

static void wait_microseconds(uint32_t microseconds) {
  const uint32_t start = cycle_counter_read();
  const uint32_t cycles = microseconds * (BOARD_CLOCK_SYSTEM_HZ / 1000000u);
  while (cycle_counter_read() - start < cycles) {
  }
}

static void controller_init(void) {
  static const uint8_t pins[][3] = BOARD_QUADSPI_PINS;
  REGISTER32(BOARD_QUADSPI_CLOCK_ENABLE) |= 1u << BOARD_QUADSPI_CLOCK_ENABLE_BIT;
  (void)REGISTER32(BOARD_QUADSPI_CLOCK_ENABLE);
  for (uint32_t i = 0; i < sizeof(pins) / sizeof(pins[0]); ++i) {
    gpio_alternate(pins[i][0], pins[i][1], pins[i][2]);
  }
  QUADSPI_DCR = DCR_FSIZE(BOARD_QUADSPI_SIZE_LOG2) | DCR_CSHT_CYCLES(CHIP_SELECT_HIGH_CYCLES);
  QUADSPI_CR = CR_PRESCALER(BOARD_QUADSPI_PRESCALER) | CR_SSHIFT | CR_EN;
}

static uint32_t read_id(void) {
  uint8_t id[3] = {0, 0, 0};
  command(COMMAND_RESET_ENABLE);
  command(COMMAND_RESET);
  wait_microseconds(RESET_MICROSECONDS);
  command_read(COMMAND_READ_ID, id, sizeof(id));
  return (uint32_t)id[0] << 16 | (uint32_t)id[1] << 8 | id[2];
}

uint32_t external_flash_map(bool* known) {
  controller_init();
  const uint32_t id = read_id();
  *known = false;
  for (uint32_t i = 0; i < sizeof(devices) / sizeof(devices[0]); ++i) {
    if (devices[i].jedec_id != id) continue;
    devices[i].prepare();
    QUADSPI_CCR = CCR_MEMORY_MAPPED | CCR_DATA_FOUR_LINES |
                  CCR_DUMMY_CYCLES(devices[i].dummy_cycles) | CCR_ADDRESS_24_BITS |
                  CCR_ADDRESS_ONE_LINE | CCR_INSTRUCTION_ONE_LINE | COMMAND_FAST_READ_QUAD_OUTPUT;
    mpu_allow_external_flash(BOARD_EXTERNAL_FLASH_BASE, BOARD_QUADSPI_SIZE_LOG2);
    *known = true;
  }
  return id;
}

#endif  // EXTERNAL_IMAGE_BYTES
