// SPDX-License-Identifier: Apache-2.0
// What an interpreter without operators does, and saw.
#ifndef FAKE_TFLM_H_
#define FAKE_TFLM_H_

#include <stddef.h>
#include <stdint.h>

struct FakeTflm {
  enum Failing { kNothing, kOperators, kSchema, kTensors, kPlaces, kSizes, kCounts, kInvoke };
  Failing failing;
  size_t input_offset, input_bytes, output_offset, output_bytes;
  unsigned runs_of_an_image;  // all but the last end with kTfLiteAbort
  unsigned made, runs;
  uint8_t seen[1 << 16];  // the inputs of all runs, one behind the other
  size_t seen_bytes;
};

extern FakeTflm fake_tflm;

#endif  // FAKE_TFLM_H_
