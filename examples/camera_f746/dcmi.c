// SPDX-License-Identifier: Apache-2.0
#include "dcmi.h"

#include <stddef.h>

#include "cortexm/cortexm.h"
#include "stm32/gpio.h"

#define LINE_BYTES 32u
#define SCB_DCIMVAC REGISTER32(0xE000EF5Cu)  // PM0253 section 4.8

#define RCC_AHB1ENR REGISTER32(0x40023830u)
#define RCC_AHB1ENR_DMA2EN (1u << 22)
#define RCC_AHB2ENR REGISTER32(0x40023834u)
#define RCC_AHB2ENR_DCMIEN (1u << 0)

// RM0385 section 15.8.
#define DCMI_CR REGISTER32(0x50050000u)
#define DCMI_CR_CAPTURE (1u << 0)
#define DCMI_CR_SNAPSHOT (1u << 1)
#define DCMI_CR_PCKPOL_RISING (1u << 5)
#define DCMI_CR_VSPOL_HIGH (1u << 7)
#define DCMI_CR_ENABLE (1u << 14)
#define DCMI_RIS REGISTER32(0x50050008u)
#define DCMI_RIS_OVR (1u << 1)
#define DCMI_ICR REGISTER32(0x50050014u)
#define DCMI_DR_ADDRESS 0x50050028u

// Stream 1 of DMA2, whose channel 1 is DCMI (RM0385 sections 8.3.3 and 8.5).
#define DMA2_LISR REGISTER32(0x40026400u)
#define DMA2_LIFCR REGISTER32(0x40026408u)
#define STREAM1_TCIF (1u << 11)
#define STREAM1_TEIF (1u << 9)
#define STREAM1_DMEIF (1u << 8)
#define STREAM1_FLAGS (0x3Du << 6)
#define STREAM1_CR REGISTER32(0x40026428u)
#define STREAM1_NDTR REGISTER32(0x4002642Cu)
#define STREAM1_PAR REGISTER32(0x40026430u)
#define STREAM1_M0AR REGISTER32(0x40026434u)
#define STREAM1_M1AR REGISTER32(0x40026438u)
#define STREAM1_FCR REGISTER32(0x4002643Cu)
#define STREAM_CR_EN (1u << 0)
#define STREAM_CR_MINC (1u << 10)
#define STREAM_CR_WORDS (2u << 11 | 2u << 13)
#define STREAM_CR_PRIORITY (3u << 16)
#define STREAM_CR_DOUBLE (1u << 18)
#define STREAM_CR_SECOND (1u << 19)  // the buffer that is being written
#define STREAM_CR_CHANNEL_1 (1u << 25)
#define STREAM_FCR_FIFO (1u << 2 | 3u)

static const struct {
  uint8_t port, pin;
} kPins[] = {
    {0, 4},   // PA4 HSYNC; the camera connector's pins: UM1907 section 6.15
    {0, 6},   // PA6 PIXCLK
    {6, 9},   // PG9 VSYNC
    {7, 9},   // PH9 D0
    {7, 10},  // PH10 D1
    {7, 11},  // PH11 D2
    {7, 12},  // PH12 D3
    {7, 14},  // PH14 D4
    {3, 3},   // PD3 D5
    {4, 5},   // PE5 D6
    {4, 6},   // PE6 D7
};

static uint8_t* buffers;
static uint32_t buffer_bytes;
static uint32_t taken;  // rows; an even one is in the first buffer

void dcmi_init(void) {
  for (size_t i = 0; i < sizeof kPins / sizeof kPins[0]; ++i) {
    gpio_alternate(kPins[i].port, kPins[i].pin, 13u);
  }
  RCC_AHB1ENR |= RCC_AHB1ENR_DMA2EN;
  RCC_AHB2ENR |= RCC_AHB2ENR_DCMIEN;
  (void)RCC_AHB2ENR;  // The enable takes two bus cycles.
}

void dcmi_stop(void) {
  DCMI_CR = 0;
  STREAM1_CR = 0;
  while (STREAM1_CR & STREAM_CR_EN) {
  }
}

// The cache may hold what the memory was before DMA wrote to it.
static void forget(const uint8_t* row) {
  for (uint32_t at = 0; at < buffer_bytes; at += LINE_BYTES) {
    SCB_DCIMVAC = (uint32_t)(uintptr_t)row + at;
  }
  cortexm_dsb();
}

void dcmi_start(uint8_t* rows, uint32_t row_bytes) {
  dcmi_stop();
  buffers = rows;
  buffer_bytes = row_bytes;
  taken = 0;
  forget(rows);
  forget(rows + row_bytes);
  DMA2_LIFCR = STREAM1_FLAGS;
  STREAM1_PAR = DCMI_DR_ADDRESS;
  STREAM1_M0AR = (uint32_t)(uintptr_t)rows;
  STREAM1_M1AR = (uint32_t)(uintptr_t)(rows + row_bytes);
  STREAM1_NDTR = row_bytes / 4u;
  STREAM1_FCR = STREAM_FCR_FIFO;
  STREAM1_CR = STREAM_CR_MINC | STREAM_CR_WORDS | STREAM_CR_PRIORITY | STREAM_CR_DOUBLE |
               STREAM_CR_CHANNEL_1;
  STREAM1_CR |= STREAM_CR_EN;
  DCMI_ICR = 0x1Fu;
  DCMI_CR = DCMI_CR_SNAPSHOT | DCMI_CR_PCKPOL_RISING | DCMI_CR_VSPOL_HIGH | DCMI_CR_ENABLE;
  DCMI_CR |= DCMI_CR_CAPTURE;
}

dcmi_event dcmi_take_row(const uint8_t** row) {
  const uint32_t flags = DMA2_LISR;
  if (flags & (STREAM1_TEIF | STREAM1_DMEIF) || DCMI_RIS & DCMI_RIS_OVR) return DCMI_LOST;
  if (!(flags & STREAM1_TCIF)) return DCMI_NOTHING;
  DMA2_LIFCR = STREAM1_TCIF;
  // The other buffer is being written now. If it is the one that this row should be in, a row more
  // has come meanwhile.
  const uint32_t second = taken & 1u;
  const uint32_t writing = STREAM1_CR & STREAM_CR_SECOND ? 1u : 0u;
  if (writing == second) return DCMI_LOST;
  *row = buffers + second * buffer_bytes;
  forget(*row);
  ++taken;
  return DCMI_ROW;
}
