// SPDX-License-Identifier: Apache-2.0
#ifndef FAKE_TFLM_MICRO_PROFILER_INTERFACE_H_
#define FAKE_TFLM_MICRO_PROFILER_INTERFACE_H_

#include <stdint.h>

namespace tflite {

class MicroProfilerInterface {
 public:
  virtual ~MicroProfilerInterface() {}
  virtual uint32_t BeginEvent(const char* tag) = 0;
  virtual void EndEvent(uint32_t event) = 0;
};

}  // namespace tflite

#endif  // FAKE_TFLM_MICRO_PROFILER_INTERFACE_H_
