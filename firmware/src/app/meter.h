// SPDX-License-Identifier: Apache-2.0
// Measures an inference, and each operator in it, in CPU cycles.
//
// The emulator knows these three functions by name: there it counts instructions between the same
// points, leaving out the instructions of the functions themselves.
#ifndef FIRMWARE_APP_METER_H_
#define FIRMWARE_APP_METER_H_

#include <stdint.h>

// Forgets the previous inference.
void meter_reset(void);
// Around every call into the model; a streamed inference is the sum of many such calls.
void meter_start(void);
void meter_stop(void);
// The model's VitOpHook: before (end = 0) and after (end = 1) operator `op_index`.
void meter_operator(void* context, int op_index, int end);

// Cycles of the last inference. Operators: a sum of 32-bit differences, so that only a single
// operator call, not the inference, must stay below 2^32 cycles.
uint64_t meter_total_cycles(void);
uint64_t meter_operator_cycles(int op_index);

#endif  // FIRMWARE_APP_METER_H_
