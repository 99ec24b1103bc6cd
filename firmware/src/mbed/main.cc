// SPDX-License-Identifier: Apache-2.0
// The application on Mbed OS: Mbed starts the board and drives the serial port, everything else is
// the same as on bare metal.

#include "mbed.h"

extern "C" {
#include "app/console.h"
#include "app/protocol.h"
#include "board_config.h"
#include "cortexm/cortexm.h"
#include "cortexm/system.h"
#include "vit_model.h"
}

extern "C" {
extern uint32_t __StackLimit[];
extern uint32_t __StackTop[];
}

namespace {

constexpr uint32_t kStackPaint = 0xA5A5A5A5u;

// Paints what no frame uses yet; interrupts share the stack, so some room is left above.
void PaintStack() {
  constexpr uint32_t kRoomBytes = 512;
  uint32_t here = 0;
  const uintptr_t end = reinterpret_cast<uintptr_t>(&here) - kRoomBytes;
  for (volatile uint32_t* word = __StackLimit; reinterpret_cast<uintptr_t>(word) < end; ++word) {
    *word = kStackPaint;
  }
}

mbed::BufferedSerial& Line() {
  static mbed::BufferedSerial line(CONSOLE_TX, CONSOLE_RX, BOARD_CONSOLE_BAUD);
  return line;
}

}  // namespace

extern "C" {

void console_write_byte(uint8_t byte) {
  while (Line().write(&byte, 1) != 1) {
  }
}

bool console_try_read(uint8_t* byte) { return Line().readable() && Line().read(byte, 1) == 1; }

// DWT, as in cortexm/core.c; Mbed leaves it alone.
void cycle_counter_init(void) {
  COREDEBUG_DEMCR |= COREDEBUG_DEMCR_TRCENA;
#if BOARD_DWT_HAS_LOCK
  DWT_LAR = DWT_LAR_KEY;
#endif
  DWT_CYCCNT = 0;
  DWT_CTRL |= DWT_CTRL_CYCCNTENA;
}

uint32_t cycle_counter_read(void) { return DWT_CYCCNT; }

// Mbed's own stack statistics need the RTOS; the linker script's symbols and paint do not.
uint32_t stack_high_water_bytes(void) {
  const uint32_t* word = __StackLimit;
  while (word < __StackTop && *word == kStackPaint) ++word;
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(__StackTop) -
                               reinterpret_cast<uintptr_t>(word));
}

uint32_t stack_size_bytes(void) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(__StackTop) -
                               reinterpret_cast<uintptr_t>(__StackLimit));
}

}  // extern "C"

int main() {
  PaintStack();
  Line().set_blocking(false);
  cycle_counter_init();
  console_text("\r\n" BOARD_TITLE " with Mbed OS\r\n");
  for (;;) {
    uint8_t byte = 0;
    if (console_try_read(&byte)) {
      protocol_receive(byte);
    } else {
      console_idle();
    }
  }
}
