// SPDX-License-Identifier: Apache-2.0
#include "vit_builtins.h"

void vit_negate_float(const VitNegateFloatParams* params, const float* x, float* y) {
  for (int32_t i = 0; i < params->count; ++i) y[i] = -x[i];
}
