// SPDX-License-Identifier: Apache-2.0
// The application on Mbed OS: Mbed starts the board and drives the serial port, everything else is
// the same as on bare metal.

#include "mbed.h"
#include "mbed_stats.h"

extern "C" {
#include "app/console.h"
#include "app/protocol.h"
#include "board_config.h"
#include "cortexm/cortexm.h"
#include "cortexm/system.h"
#include "vit_model.h"
}

namespace {

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

// Needs platform.stack-stats-enabled, which mbed_app sets.
uint32_t stack_high_water_bytes(void) {
  mbed_stats_stack_t stack;
  mbed_stats_stack_get(&stack);
  return stack.max_size;
}

uint32_t stack_size_bytes(void) {
  mbed_stats_stack_t stack;
  mbed_stats_stack_get(&stack);
  return stack.reserved_size;
}

}  // extern "C"

int main() {
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
