// SPDX-License-Identifier: Apache-2.0
#ifndef BENCHMARKS_PLAIN_TFLM_MARKS_H_
#define BENCHMARKS_PLAIN_TFLM_MARKS_H_

// The emulator stops here, and writes and reads memory.
void wait_for_host(void);

#endif  // BENCHMARKS_PLAIN_TFLM_MARKS_H_
