// SPDX-License-Identifier: Apache-2.0
// A file of which nothing is read but its version, which the test sets.
#ifndef FAKE_TFLM_SCHEMA_GENERATED_H_
#define FAKE_TFLM_SCHEMA_GENERATED_H_

#include <stdint.h>

namespace tflite {

struct Model {
  uint32_t version() const;
};

inline const Model* GetModel(const void* file) { return static_cast<const Model*>(file); }

}  // namespace tflite

#endif  // FAKE_TFLM_SCHEMA_GENERATED_H_
