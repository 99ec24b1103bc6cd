// SPDX-License-Identifier: Apache-2.0
// What a fault leaves behind, printed on the console: kind, address, program counter.

#include <stdint.h>

#include "app/console.h"
#include "cortexm/cortexm.h"

extern uint32_t __stack_bottom[];
extern uint32_t __stack_top[];

// Words of the exception frame, PM0253 section 2.4.7.
#define FRAME_LR 5u
#define FRAME_PC 6u
#define FRAME_WORDS 8u

static const char* fault_name(uint32_t exception) {
  switch (exception) {
    case 2:
      return "NMI";
    case 3:
      return "HardFault";
    case 4:
      return "MemManage";
    case 5:
      return "BusFault";
    case 6:
      return "UsageFault";
    default:
      return "unexpected exception";
  }
}

static void line(const char* name, uint32_t value) {
  console_text(name);
  console_hex(value);
  console_text("\r\n");
}

// Called by fault_handler with the stack pointer at the fault and the exception number.
__attribute__((noreturn, used)) void fault_report(const uint32_t* frame, uint32_t exception) {
  console_text("\r\nfault: ");
  console_text(fault_name(exception));
  console_text("\r\n");
  if (frame >= __stack_bottom && frame + FRAME_WORDS <= __stack_top) {
    line("  pc   ", frame[FRAME_PC]);
    line("  lr   ", frame[FRAME_LR]);
  } else {
    line("  stack overflow, sp ", (uint32_t)(uintptr_t)frame);
  }
#if __ARM_ARCH >= 7
  line("  cfsr ", SCB_CFSR);
  line("  hfsr ", SCB_HFSR);
  line("  mmfar ", SCB_MMFAR);
  line("  bfar ", SCB_BFAR);
#endif
  for (;;) {
  }
}
