// SPDX-License-Identifier: Apache-2.0
#include "vit_builtins.h"
#include "vit_rescale.h"

void vit_mean(const VitMeanParams* params, const int8_t* x, int8_t* y) {
  const int32_t inner = params->inner;
  for (int32_t o = 0; o < params->outer; ++o, x += params->count * inner) {
    for (int32_t i = 0; i < inner; ++i) {
      int32_t sum = -params->count * params->input_zero_point;
      for (int32_t n = 0; n < params->count; ++n) sum += x[n * inner + i];
      const int32_t value = vit_rescale(sum, params->out_multiplier, params->out_shift);
      *y++ = (int8_t)vit_clamp_i32(value + params->output_zero_point, params->out_min,
                                   params->out_max);
    }
  }
}
