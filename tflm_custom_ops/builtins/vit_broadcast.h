// SPDX-License-Identifier: Apache-2.0
// The loop over all elements of two operands with broadcasting.
#ifndef TFLM_CUSTOM_OPS_BUILTINS_VIT_BROADCAST_H_
#define TFLM_CUSTOM_OPS_BUILTINS_VIT_BROADCAST_H_

#include "vit_builtins.h"

// Writes element `at` of the result; `a` and `b` are the operands' element numbers.
typedef void (*VitBroadcastElement)(const void* op, int32_t a, int32_t b, int32_t at);

// Calls `element` for every element, in order; `op` is what it needs: parameters and addresses.
static inline void vit_broadcast(const VitBroadcast* over, VitBroadcastElement element,
                                 const void* op) {
  const int32_t* n = over->shape;
  const int32_t* sa = over->a_strides;
  const int32_t* sb = over->b_strides;
  int32_t at = 0;
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        const int32_t a = i * sa[0] + j * sa[1] + k * sa[2];
        const int32_t b = i * sb[0] + j * sb[1] + k * sb[2];
        for (int32_t l = 0; l < n[3]; ++l) element(op, a + l * sa[3], b + l * sb[3], at++);
      }
    }
  }
}

#endif  // TFLM_CUSTOM_OPS_BUILTINS_VIT_BROADCAST_H_
