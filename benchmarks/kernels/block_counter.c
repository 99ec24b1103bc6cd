// SPDX-License-Identifier: Apache-2.0
// Counts executed instructions in a Unicorn block hook. Every Thumb instruction of a block runs (an
// instruction skipped by IT still takes its slot), so a block's instructions are its halfwords
// that do not continue a 32-bit encoding. Built as a shared library and called by Unicorn without
// passing through Python.
#include <stdint.h>

typedef struct {
  uint64_t instructions;
  uint32_t code_base;  // guest address of code[0]
  uint32_t code_halfwords;
  const uint16_t* code;
  uint64_t* per_block;    // instructions by the block's first halfword
  uint16_t* known_size;   // bytes of the block seen last at this halfword
  uint16_t* known_count;  // and its instructions
  uint64_t outside;       // blocks outside the code: must stay 0
} BlockCounter;

void count_block(void* engine, uint64_t address, uint32_t size, void* user) {
  BlockCounter* counter = user;
  const uint32_t index = ((uint32_t)address - counter->code_base) / 2;
  (void)engine;
  if (index >= counter->code_halfwords) {
    ++counter->outside;
    return;
  }
  if (counter->known_size[index] != size) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < size / 2; ++count) {
      i += (counter->code[index + i] >> 11) >= 0x1D ? 2 : 1;
    }
    counter->known_size[index] = (uint16_t)size;
    counter->known_count[index] = (uint16_t)count;
  }
  counter->instructions += counter->known_count[index];
  counter->per_block[index] += counter->known_count[index];
}
