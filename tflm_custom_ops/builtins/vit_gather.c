// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "vit_builtins.h"
#include "vit_rescale.h"

void vit_gather(const VitGatherParams* params, const void* x, const int32_t* indices, void* y) {
  const size_t bytes = (size_t)params->inner_bytes;
  const uint8_t* from = x;
  uint8_t* to = y;
  for (int32_t batch = 0; batch < params->batches; ++batch, indices += params->indices) {
    for (int32_t outer = 0; outer < params->outer; ++outer, from += (size_t)params->axis * bytes) {
      for (int32_t i = 0; i < params->indices; ++i, to += bytes) {
        const int32_t index = vit_clamp_i32(indices[i], 0, params->axis - 1);
        memcpy(to, from + (size_t)index * bytes, bytes);
      }
    }
  }
}
