// SPDX-License-Identifier: Apache-2.0
// Two tasks of one priority infer with a model each, again and again; the scheduler stops them in
// the middle of operators. A task has the stack that its model's header states, and OWN_STACK_BYTES
// for what the task itself and the kernel put there. At the end a third task prints outputs and
// stacks.
#include <stdint.h>

#include "FreeRTOS.h"
#include "first.h"
#include "second.h"
#include "task.h"

#define ROUNDS 20
// A task switch saves at most 52 words of an FPU's core; the rest is this file's functions.
#define OWN_STACK_BYTES 512u
#define FIRST_STACK_WORDS ((FIRST_STACK_BYTES + OWN_STACK_BYTES) / sizeof(StackType_t))
#define SECOND_STACK_WORDS ((SECOND_STACK_BYTES + OWN_STACK_BYTES) / sizeof(StackType_t))
#define REPORT_STACK_WORDS 256u
#define WORK_PRIORITY 2
#define REPORT_PRIORITY 1

static StackType_t first_stack[FIRST_STACK_WORDS];
static StackType_t second_stack[SECOND_STACK_WORDS];
static StackType_t report_stack[REPORT_STACK_WORDS];
static StaticTask_t first_block, second_block, report_block, idle_block;
static StackType_t idle_stack[configMINIMAL_STACK_SIZE];

static first_state first;
static second_state second;
static FIRST_ALIGNED uint8_t first_arena[FIRST_ARENA_BYTES];
static SECOND_ALIGNED uint8_t second_arena[SECOND_ARENA_BYTES];

static int8_t first_output_copy[FIRST_CLASSES];
static int8_t second_output_copy[SECOND_CLASSES];
static volatile uint32_t first_used, second_used;

// Operators between whose begin and end the other task has run.
static volatile uint32_t interrupted;
static TaskHandle_t volatile last_in_an_operator;

static void count_switches(void* context, int op_index, int end) {
  (void)context;
  (void)op_index;
  const TaskHandle_t self = xTaskGetCurrentTaskHandle();
  if (end && last_in_an_operator != self) ++interrupted;
  last_in_an_operator = self;
}

// The next value of an image: the upper byte of a linear congruential generator.
static int8_t next_value(uint32_t* seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return (int8_t)(*seed >> 24);
}

static void expect(int status) {
  if (status != 0) example_stop("a call has another status than OK");
}

static uint32_t used_bytes(uint32_t words) {
  return (uint32_t)((words - uxTaskGetStackHighWaterMark(NULL)) * sizeof(StackType_t));
}

static void first_task(void* unused) {
  static int8_t row[FIRST_ROW_BYTES];
  (void)unused;
  expect(first_init(&first, first_arena, sizeof first_arena));
  expect(first_set_hook(&first, count_switches, NULL));
  for (uint32_t round = 0; round < ROUNDS; ++round) {
    uint32_t seed = round;
    expect(first_begin(&first));
    for (int y = 0; y < FIRST_IMAGE_HEIGHT; ++y) {
      for (uint32_t x = 0; x < FIRST_ROW_BYTES; ++x) row[x] = next_value(&seed);
      expect(first_push_rows(&first, row, 1));
    }
    expect(first_finish(&first));
  }
  const int8_t* output = NULL;
  expect(first_output(&first, &output));
  for (int i = 0; i < FIRST_CLASSES; ++i) first_output_copy[i] = output[i];
  first_used = used_bytes(FIRST_STACK_WORDS);
  vTaskSuspend(NULL);
}

static void second_task(void* unused) {
  static int8_t row[SECOND_ROW_BYTES];
  (void)unused;
  expect(second_init(&second, second_arena, sizeof second_arena));
  expect(second_set_hook(&second, count_switches, NULL));
  for (uint32_t round = 0; round < ROUNDS; ++round) {
    uint32_t seed = round;
    expect(second_begin(&second));
    for (int y = 0; y < SECOND_IMAGE_HEIGHT; ++y) {
      for (uint32_t x = 0; x < SECOND_ROW_BYTES; ++x) row[x] = next_value(&seed);
      expect(second_push_rows(&second, row, 1));
    }
    expect(second_finish(&second));
  }
  const int8_t* output = NULL;
  expect(second_output(&second, &output));
  for (int i = 0; i < SECOND_CLASSES; ++i) second_output_copy[i] = output[i];
  second_used = used_bytes(SECOND_STACK_WORDS);
  vTaskSuspend(NULL);
}

// ---- what is printed ---------------------------------------------------------------------------

#define UART ((volatile uint32_t*)0x40004000u)  // CMSDK: data, state, control, interrupt, divider
#define UART_FULL 1u
#define UART_TRANSMIT 1u

static void put_text(const char* text) {
  UART[2] = UART_TRANSMIT;
  UART[4] = 16;
  for (; *text != '\0'; ++text) {
    while (UART[1] & UART_FULL) {
    }
    UART[0] = (uint8_t)*text;
  }
}

static void put_number(int32_t value) {
  char text[12];
  char* at = text + sizeof text - 1;
  uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
  *at = '\0';
  do {
    *--at = (char)('0' + rest % 10u);
    rest /= 10u;
  } while (rest > 0);
  if (value < 0) *--at = '-';
  put_text(" ");
  put_text(at);
}

static void put_model(const char* name, const int8_t* output, int classes, uint32_t used,
                      uint32_t stated) {
  put_text(name);
  put_text(" outputs");
  for (int i = 0; i < classes; ++i) put_number(output[i]);
  put_text("\n");
  put_text(name);
  put_text(" stack");
  put_number((int32_t)used);
  put_text(" stated");
  put_number((int32_t)stated);
  put_text("\n");
}

// SYS_EXIT of semihosting, which QEMU answers by ending.
static void leave(void) {
  register uint32_t operation __asm__("r0") = 0x18;
  register uint32_t reason __asm__("r1") = 0x20026;
  __asm__ volatile("bkpt 0xAB" : : "r"(operation), "r"(reason) : "memory");
}

void example_stop(const char* why) {
  put_text("stopped: ");
  put_text(why);
  put_text("\n");
  leave();
  for (;;) {
  }
}

// Below the others: runs when both have suspended themselves.
static void report_task(void* unused) {
  (void)unused;
  put_model("first", first_output_copy, FIRST_CLASSES, first_used, FIRST_STACK_BYTES);
  put_model("second", second_output_copy, SECOND_CLASSES, second_used, SECOND_STACK_BYTES);
  put_text("interrupted");
  put_number((int32_t)interrupted);
  put_text("\n");
  leave();
}

void vApplicationGetIdleTaskMemory(StaticTask_t** block, StackType_t** stack, uint32_t* words);
void vApplicationGetIdleTaskMemory(StaticTask_t** block, StackType_t** stack, uint32_t* words) {
  *block = &idle_block;
  *stack = idle_stack;
  *words = configMINIMAL_STACK_SIZE;
}

void vApplicationStackOverflowHook(TaskHandle_t task, char* name);
void vApplicationStackOverflowHook(TaskHandle_t task, char* name) {
  (void)task;
  (void)name;
  example_stop("a task needs more stack than its model states");
}

int main(void) {
  xTaskCreateStatic(first_task, "first", FIRST_STACK_WORDS, NULL, WORK_PRIORITY, first_stack,
                    &first_block);
  xTaskCreateStatic(second_task, "second", SECOND_STACK_WORDS, NULL, WORK_PRIORITY, second_stack,
                    &second_block);
  xTaskCreateStatic(report_task, "report", REPORT_STACK_WORDS, NULL, REPORT_PRIORITY, report_stack,
                    &report_block);
  vTaskStartScheduler();
  return 1;
}
