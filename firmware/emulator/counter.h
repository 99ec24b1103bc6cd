// SPDX-License-Identifier: Apache-2.0
// What other hooks of the emulator ask the counter.
#ifndef FIRMWARE_EMULATOR_COUNTER_H_
#define FIRMWARE_EMULATOR_COUNTER_H_

#include <stdint.h>

// The operator that runs; `operator_count` for the model's code between operators; UINT32_MAX
// while the model does not run.
uint32_t counter_running(const void* counter);

#endif  // FIRMWARE_EMULATOR_COUNTER_H_
