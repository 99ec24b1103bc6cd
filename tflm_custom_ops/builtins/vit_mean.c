// SPDX-License-Identifier: Apache-2.0
#include "vit_builtins.h"
#include "vit_rescale.h"

#define MEAN(type)                                                                        \
  const int32_t inner = params->inner;                                                    \
  for (int32_t o = 0; o < params->outer; ++o, x += params->count * inner) {               \
    for (int32_t i = 0; i < inner; ++i) {                                                 \
      int32_t sum = -params->count * VIT_ZERO_POINT(type, params->input_zero_point);      \
      for (int32_t n = 0; n < params->count; ++n) sum += x[n * inner + i];                \
      const int32_t value = vit_rescale(sum, params->out_multiplier, params->out_shift);  \
      *y++ = (type)vit_clamp_i32(value + VIT_ZERO_POINT(type, params->output_zero_point), \
                                 params->out_min, params->out_max);                       \
    }                                                                                     \
  }

void vit_mean(const VitMeanParams* params, const int8_t* x, int8_t* y) { MEAN(int8_t) }

void vit_mean_int16(const VitMeanParams* params, const int16_t* x, int16_t* y) { MEAN(int16_t) }
