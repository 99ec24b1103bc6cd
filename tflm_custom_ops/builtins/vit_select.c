// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "vit_builtins.h"

static int32_t offset_of(const int32_t strides[4], int32_t i, int32_t j, int32_t k) {
  return i * strides[0] + j * strides[1] + k * strides[2];
}

void vit_select(const VitSelectParams* params, const uint8_t* condition, const void* a,
                const void* b, void* y) {
  const int32_t* n = params->over.shape;
  const int32_t* sa = params->over.a_strides;
  const int32_t* sb = params->over.b_strides;
  const int32_t* sc = params->condition_strides;
  const int32_t bytes = params->element_bytes;
  uint8_t* to = y;
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        const uint8_t* left = (const uint8_t*)a + (size_t)offset_of(sa, i, j, k) * (size_t)bytes;
        const uint8_t* right = (const uint8_t*)b + (size_t)offset_of(sb, i, j, k) * (size_t)bytes;
        const uint8_t* chosen = condition + offset_of(sc, i, j, k);
        for (int32_t l = 0; l < n[3]; ++l, to += bytes) {
          const uint8_t* from =
              chosen[l * sc[3]] ? left + l * sa[3] * bytes : right + l * sb[3] * bytes;
          memcpy(to, from, (size_t)bytes);
        }
      }
    }
  }
}
