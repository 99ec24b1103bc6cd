// SPDX-License-Identifier: Apache-2.0
// A console through the debugger: "Semihosting for AArch32 and AArch64", SYS_WRITEC and SYS_READC.
//
// A debugger that has no byte to give stops the core until it has one, or answers -1; the main loop
// and the memory window (app/window.h) go on after that only.

#include "app/console.h"
#include "cortexm/cortexm.h"

#define SYS_WRITEC 0x03u
#define SYS_READC 0x07u

static uint32_t semihosting_call(uint32_t operation, const void* argument) {
  register uint32_t r0 __asm("r0") = operation;
  register const void* r1 __asm("r1") = argument;
  __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

// BKPT without a debugger is a HardFault. An Armv6-M core can not ask (DDI 0419 section C1.6.3).
static bool debugger_attached(void) {
#if __ARM_ARCH >= 7
  return (COREDEBUG_DHCSR & COREDEBUG_DHCSR_C_DEBUGEN) != 0u;
#else
  return true;
#endif
}

void console_init(void) {}

void console_write_byte(uint8_t byte) {
  if (debugger_attached()) (void)semihosting_call(SYS_WRITEC, &byte);
}

bool console_try_read(uint8_t* byte) {
  if (!debugger_attached()) return false;
  const uint32_t received = semihosting_call(SYS_READC, 0);
  if (received > 0xFFu) return false;
  *byte = (uint8_t)received;
  return true;
}
