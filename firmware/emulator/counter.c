// SPDX-License-Identifier: Apache-2.0
// Counts guest instructions exactly, inside Unicorn's block hook, at native speed.
//
// Unicorn calls block_hook() before each translated block. A block's number of instructions is
// decoded once from its bytes (Thumb: a halfword of 0b11101, 0b11110 or 0b11111 in its top five
// bits starts a 32-bit instruction) and then looked up. Instructions inside an IT block count
// whether their condition holds or not, as on the real core, where they take a cycle either way.
//
// The firmware marks what is measured by calling three functions (firmware/src/app/meter.h). This
// file knows their addresses; their own instructions are left out of every count.
//
// Compiled by the host's compiler at first use and called through ctypes; it needs no Unicorn
// header.

#include "counter.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int (*RegRead)(void* uc, int register_id, void* value);
typedef int (*EmuStop)(void* uc);

typedef struct {
  uint32_t base;
  uint32_t size;
  uint8_t* host;
} CodeRange;

enum { EVENT_NONE, EVENT_METER_START, EVENT_METER_STOP, EVENT_OPERATOR };

typedef struct Block {
  struct Block* next;
  uint32_t address;
  uint32_t size;
  uint32_t instructions;
  uint32_t event;
  uint64_t executions;  // While metered and not paused.
} Block;

typedef struct {
  uint64_t instructions;
  uint32_t calls;
  uint32_t stack_bytes;  // Most stack used below the operator's caller.
} Operator;

#define CACHE_ENTRIES 8192u
#define TABLE_ENTRIES 65536u
#define MAX_RANGES 16u

// Layout shared with counter.py: only the fields before `reg_read` are read there.
typedef struct {
  uint64_t total;    // All instructions since creation.
  uint64_t metered;  // Instructions between meter_start and meter_stop, hooks left out.
  uint64_t limit;    // Stop when `total` passes it; 0 = never.
  uint32_t error;    // See COUNTER_ERROR_*.
  uint32_t error_address;
  uint32_t lowest_stack;  // Lowest stack address ever written, as known at the last mark.
  uint32_t
      lowest_pointer;  // Lowest stack pointer at the start of a block; see counter_pointer_hook.

  RegRead reg_read;
  EmuStop emu_stop;
  int register_lr, register_sp, register_r1, register_r2, register_pc;
  uint32_t meter_start, meter_stop, meter_operator;
  uint32_t paused_until;  // Return address of the mark being executed; 0 = not paused.
  bool metering;
  uint64_t operator_start;
  uint32_t operator_stack_top;
  uint32_t running;      // The operator that runs; operator_count for none.
  bool repaint_pending;  // Paint the stack again when the mark has returned.
  uint32_t operator_count;
  Operator* operators;
  uint32_t stack_bottom, stack_top, stack_paint;
  uint8_t* stack_host;
  uint32_t watch_base, watch_bytes;  // Guest bytes whose reads are counted.
  uint32_t* watch_counts;            // One for each of them.
  CodeRange ranges[MAX_RANGES];
  uint32_t range_count;
  Block* cache[CACHE_ENTRIES];
  Block* table[TABLE_ENTRIES];
} Counter;

enum {
  COUNTER_OK,
  COUNTER_ERROR_LIMIT,      // The instruction limit was reached.
  COUNTER_ERROR_NO_CODE,    // A block outside every code range.
  COUNTER_ERROR_NO_MEMORY,  // malloc failed.
  COUNTER_ERROR_OPERATOR,   // An operator index out of range.
  COUNTER_ERROR_ALIGNMENT,  // An access that the core would refuse (strict mode).
};

Counter* counter_new(void) { return calloc(1, sizeof(Counter)); }

void counter_free(Counter* counter) {
  if (counter == NULL) return;
  for (uint32_t i = 0; i < TABLE_ENTRIES; ++i) {
    for (Block* block = counter->table[i]; block != NULL;) {
      Block* next = block->next;
      free(block);
      block = next;
    }
  }
  free(counter->operators);
  free(counter);
}

void counter_set_unicorn(Counter* counter, void* reg_read, void* emu_stop, int lr, int sp, int r1,
                         int r2, int pc) {
  memcpy(&counter->reg_read, &reg_read, sizeof(reg_read));
  memcpy(&counter->emu_stop, &emu_stop, sizeof(emu_stop));
  counter->register_lr = lr;
  counter->register_sp = sp;
  counter->register_r1 = r1;
  counter->register_r2 = r2;
  counter->register_pc = pc;
}

void counter_set_marks(Counter* counter, uint32_t start, uint32_t stop, uint32_t operator_mark) {
  counter->meter_start = start;
  counter->meter_stop = stop;
  counter->meter_operator = operator_mark;
}

// Counts from now on as between meter_start and meter_stop, or not; for code without marks.
void counter_set_metering(Counter* counter, bool metering) { counter->metering = metering; }

void counter_set_stack(Counter* counter, uint32_t bottom, uint32_t top, uint32_t paint,
                       uint8_t* host) {
  counter->stack_bottom = bottom;
  counter->stack_top = top;
  counter->stack_paint = paint;
  counter->stack_host = host;
  counter->lowest_stack = top;
}

int counter_add_range(Counter* counter, uint32_t base, uint32_t size, uint8_t* host) {
  if (counter->range_count == MAX_RANGES) return -1;
  counter->ranges[counter->range_count++] = (CodeRange){base, size, host};
  return 0;
}

int counter_set_operators(Counter* counter, uint32_t count) {
  free(counter->operators);
  counter->operators = calloc(count ? count : 1u, sizeof(Operator));
  counter->operator_count = count;
  counter->running = count;
  return counter->operators == NULL ? -1 : 0;
}

uint32_t counter_running(const void* counter) {
  const Counter* self = counter;
  return self->metering && self->paused_until == 0u ? self->running : UINT32_MAX;
}

// Zeroes what belongs to one inference.
void counter_reset(Counter* counter) {
  counter->metered = 0;
  memset(counter->operators, 0, counter->operator_count * sizeof(Operator));
}

void counter_operator(const Counter* counter, uint32_t index, uint64_t* instructions,
                      uint32_t* calls, uint32_t* stack_bytes) {
  const Operator* entry = &counter->operators[index];
  *instructions = entry->instructions;
  *calls = entry->calls;
  *stack_bytes = entry->stack_bytes;
}

// Copies up to `capacity` blocks executed while metered; returns how many there are.
uint32_t counter_profile(const Counter* counter, uint32_t* addresses, uint32_t* instructions,
                         uint64_t* executions, uint32_t capacity) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < TABLE_ENTRIES; ++i) {
    for (const Block* block = counter->table[i]; block != NULL; block = block->next) {
      if (block->executions == 0) continue;
      if (count < capacity) {
        addresses[count] = block->address;
        instructions[count] = block->instructions;
        executions[count] = block->executions;
      }
      ++count;
    }
  }
  return count;
}

void counter_profile_reset(Counter* counter) {
  for (uint32_t i = 0; i < TABLE_ENTRIES; ++i) {
    for (Block* block = counter->table[i]; block != NULL; block = block->next) {
      block->executions = 0;
    }
  }
}

static void fail(Counter* counter, void* uc, uint32_t error, uint32_t address) {
  if (counter->error == COUNTER_OK) {
    counter->error = error;
    counter->error_address = address;
  }
  counter->emu_stop(uc);
}

static uint32_t decode(const Counter* counter, uint32_t address, uint32_t size) {
  for (uint32_t i = 0; i < counter->range_count; ++i) {
    const CodeRange* range = &counter->ranges[i];
    if (address < range->base || address - range->base >= range->size) continue;
    if (size > range->size - (address - range->base)) return 0;
    const uint8_t* code = range->host + (address - range->base);
    uint32_t count = 0;
    for (uint32_t offset = 0; offset < size; ++count) {
      const uint32_t top = code[offset + 1] >> 3;
      offset += top >= 0x1Du ? 4u : 2u;
    }
    return count;
  }
  return 0;
}

static uint32_t event_at(const Counter* counter, uint32_t address) {
  if (address == counter->meter_start) return EVENT_METER_START;
  if (address == counter->meter_stop) return EVENT_METER_STOP;
  if (address == counter->meter_operator) return EVENT_OPERATOR;
  return EVENT_NONE;
}

static Block* find_block(Counter* counter, void* uc, uint32_t address, uint32_t size) {
  const uint32_t hash = ((address >> 1) * 2654435761u + size * 40503u) >> 16;
  Block** slot = &counter->table[hash % TABLE_ENTRIES];
  for (Block* block = *slot; block != NULL; block = block->next) {
    if (block->address == address && block->size == size) return block;
  }
  const uint32_t instructions = decode(counter, address, size);
  if (instructions == 0) {
    fail(counter, uc, COUNTER_ERROR_NO_CODE, address);
    return NULL;
  }
  Block* block = calloc(1, sizeof(Block));
  if (block == NULL) {
    fail(counter, uc, COUNTER_ERROR_NO_MEMORY, address);
    return NULL;
  }
  *block = (Block){.next = *slot,
                   .address = address,
                   .size = size,
                   .instructions = instructions,
                   .event = event_at(counter, address)};
  *slot = block;
  return block;
}

static uint32_t read_register(const Counter* counter, void* uc, int id) {
  uint32_t value = 0;
  counter->reg_read(uc, id, &value);
  return value;
}

// The lowest stack address that lost its paint.
static uint32_t lowest_written(const Counter* counter) {
  const uint32_t words = (counter->stack_top - counter->stack_bottom) / 4u;
  for (uint32_t i = 0; i < words; ++i) {
    uint32_t word;
    memcpy(&word, counter->stack_host + 4u * i, sizeof(word));
    if (word != counter->stack_paint) return counter->stack_bottom + 4u * i;
  }
  return counter->stack_top;
}

// Brings `lowest_stack` up to date.
void counter_update_stack(Counter* counter) {
  if (counter->stack_host == NULL) return;
  const uint32_t lowest = lowest_written(counter);
  if (lowest < counter->lowest_stack) counter->lowest_stack = lowest;
}

// Paints what lies below the stack pointer again, so that the next reading is one operator's own.
static void repaint(Counter* counter, uint32_t stack_pointer) {
  counter_update_stack(counter);
  for (uint32_t a = counter->stack_bottom; a + 4u <= stack_pointer; a += 4u) {
    memcpy(counter->stack_host + (a - counter->stack_bottom), &counter->stack_paint, 4u);
  }
}

static void on_operator(Counter* counter, void* uc, uint32_t address) {
  const uint32_t index = read_register(counter, uc, counter->register_r1);
  const uint32_t end = read_register(counter, uc, counter->register_r2);
  if (index >= counter->operator_count) {
    fail(counter, uc, COUNTER_ERROR_OPERATOR, address);
    return;
  }
  const uint32_t stack_pointer = read_register(counter, uc, counter->register_sp);
  const bool has_stack = counter->stack_host != NULL && stack_pointer <= counter->stack_top &&
                         stack_pointer >= counter->stack_bottom;
  Operator* entry = &counter->operators[index];
  counter->running = end == 0u ? index : counter->operator_count;
  if (end == 0u) {
    counter->operator_start = counter->metered;
    counter->operator_stack_top = stack_pointer;
    counter->repaint_pending = has_stack;
    return;
  }
  entry->instructions += counter->metered - counter->operator_start;
  entry->calls++;
  if (has_stack) {
    const uint32_t lowest = lowest_written(counter);
    const uint32_t used =
        lowest < counter->operator_stack_top ? counter->operator_stack_top - lowest : 0u;
    if (used > entry->stack_bytes) entry->stack_bytes = used;
    counter_update_stack(counter);
  }
}

static void on_event(Counter* counter, void* uc, const Block* block) {
  if (block->event == EVENT_METER_START) {
    counter->metering = true;
  } else if (block->event == EVENT_METER_STOP) {
    counter->metering = false;
    return;
  } else {
    on_operator(counter, uc, block->address);
  }
  // Blocks until the mark returns belong to the mark.
  counter->paused_until = read_register(counter, uc, counter->register_lr) & ~1u;
}

// Whether the instruction at `address` needs word-aligned operands whatever CCR.UNALIGN_TRP says:
// LDM, STM, PUSH, POP, LDRD, STRD, LDREX, STREX, VLDR, VSTR, VLDM, VSTM (Armv7-M ARM, A3.2.1).
static bool needs_alignment(const Counter* counter, uint32_t address) {
  for (uint32_t i = 0; i < counter->range_count; ++i) {
    const CodeRange* range = &counter->ranges[i];
    if (address < range->base || address - range->base + 4u > range->size) continue;
    const uint8_t* code = range->host + (address - range->base);
    const uint32_t first = (uint32_t)code[0] | (uint32_t)code[1] << 8;
    if ((first & 0xF000u) == 0xC000u) return true;                                  // LDM, STM
    if ((first & 0xFE00u) == 0xB400u || (first & 0xFE00u) == 0xBC00u) return true;  // PUSH, POP
    if ((first & 0xFE00u) == 0xE800u) return true;  // LDM.W, STM.W, LDRD, STRD, LDREX, STREX
    return (first & 0xFE00u) == 0xEC00u;            // VLDR, VSTR, VLDM, VSTM
  }
  return false;
}

// UC_HOOK_MEM_READ and UC_HOOK_MEM_WRITE, in strict mode only.
void counter_memory_hook(void* uc, int type, uint64_t address, int size, int64_t value,
                         void* user_data) {
  Counter* counter = user_data;
  (void)type;
  (void)value;
  if (size < 4 || (address & 3u) == 0u) return;
  if (!needs_alignment(counter, read_register(counter, uc, counter->register_pc) & ~1u)) return;
  fail(counter, uc, COUNTER_ERROR_ALIGNMENT, (uint32_t)address);
}

void counter_watch(Counter* counter, uint32_t base, uint32_t bytes, uint32_t* counts) {
  counter->watch_base = base;
  counter->watch_bytes = bytes;
  counter->watch_counts = counts;
}

// UC_HOOK_MEM_READ, once something is watched: counts reads of each byte while the model runs.
void counter_watch_hook(void* uc, int type, uint64_t address, int size, int64_t value,
                        void* user_data) {
  Counter* counter = user_data;
  (void)uc;
  (void)type;
  (void)value;
  if (!counter->metering || counter->paused_until != 0u) return;
  for (int i = 0; i < size; ++i) {
    const uint32_t offset = (uint32_t)address + (uint32_t)i - counter->watch_base;
    if (offset < counter->watch_bytes) counter->watch_counts[offset]++;
  }
}

// Follows the stack pointer, which also moves by what is never written.
void counter_pointer_hook(void* uc, uint64_t address, uint32_t size, void* user_data) {
  (void)address;
  (void)size;
  Counter* counter = user_data;
  const uint32_t pointer = read_register(counter, uc, counter->register_sp);
  if (pointer < counter->lowest_pointer) counter->lowest_pointer = pointer;
}

void counter_block_hook(void* uc, uint64_t address64, uint32_t size, void* user_data) {
  Counter* counter = user_data;
  const uint32_t address = (uint32_t)address64;
  Block** cached = &counter->cache[(address >> 1) % CACHE_ENTRIES];
  Block* block = *cached;
  if (block == NULL || block->address != address || block->size != size) {
    block = find_block(counter, uc, address, size);
    if (block == NULL) return;
    *cached = block;
  }
  counter->total += block->instructions;
  if (counter->paused_until != 0u) {
    if (address != counter->paused_until) return;
    counter->paused_until = 0u;
    if (counter->repaint_pending) {
      counter->repaint_pending = false;
      repaint(counter, counter->operator_stack_top);
    }
  }
  if (block->event != EVENT_NONE) {
    on_event(counter, uc, block);
    return;
  }
  if (!counter->metering) {
    if (counter->limit != 0u && counter->total > counter->limit) {
      fail(counter, uc, COUNTER_ERROR_LIMIT, address);
    }
    return;
  }
  counter->metered += block->instructions;
  block->executions++;
  if (counter->limit != 0u && counter->total > counter->limit) {
    fail(counter, uc, COUNTER_ERROR_LIMIT, address);
  }
}
