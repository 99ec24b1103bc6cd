// SPDX-License-Identifier: Apache-2.0
// Vectors and start of a Cortex-M4; the kernel's handlers are where it expects them.
#include <stdint.h>

extern uint32_t __data_load[], __data_start[], __data_end[], __bss_start[], __bss_end[];
extern uint32_t __stack_top[];

int main(void);
void example_stop(const char* why);
void reset_handler(void);
void vPortSVCHandler(void);
void xPortPendSVHandler(void);
void xPortSysTickHandler(void);

#define CPACR (*(volatile uint32_t*)0xE000ED88u)
#define FPU_ACCESS (0xFu << 20)

static void fault_handler(void) { example_stop("a fault"); }

typedef void (*Vector)(void);

__attribute__((section(".vectors"), used)) static const Vector vectors[16] = {
    [0] = (Vector)__stack_top,  [1] = reset_handler,    [2] = fault_handler,
    [3] = fault_handler,        [4] = fault_handler,    [5] = fault_handler,
    [6] = fault_handler,        [11] = vPortSVCHandler, [14] = xPortPendSVHandler,
    [15] = xPortSysTickHandler,
};

void reset_handler(void) {
  CPACR |= FPU_ACCESS;
  __asm__ volatile("dsb\n isb");
  const uint32_t* from = __data_load;
  for (uint32_t* to = __data_start; to < __data_end; ++to) *to = *from++;
  for (uint32_t* to = __bss_start; to < __bss_end; ++to) *to = 0;
  (void)main();
  example_stop("main returned");
}
