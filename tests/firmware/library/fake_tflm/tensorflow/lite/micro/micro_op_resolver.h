// SPDX-License-Identifier: Apache-2.0
#ifndef FAKE_TFLM_MICRO_OP_RESOLVER_H_
#define FAKE_TFLM_MICRO_OP_RESOLVER_H_

namespace tflite {

class MicroOpResolver {
 public:
  virtual ~MicroOpResolver() {}
};

}  // namespace tflite

#endif  // FAKE_TFLM_MICRO_OP_RESOLVER_H_
