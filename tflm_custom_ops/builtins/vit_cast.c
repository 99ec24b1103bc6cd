// SPDX-License-Identifier: Apache-2.0
// CAST: integers as they are, without their scale, as another type.
#include "vit_builtins.h"

static int32_t load(const void* x, int32_t type, int32_t i) {
  switch (type) {
    case VIT_ELEMENT_INT8:
      return ((const int8_t*)x)[i];
    case VIT_ELEMENT_UINT8:
      return ((const uint8_t*)x)[i];
    case VIT_ELEMENT_INT16:
      return ((const int16_t*)x)[i];
    default:
      return ((const int32_t*)x)[i];
  }
}

void vit_cast(const VitCastParams* params, const void* x, void* y) {
  for (int32_t i = 0; i < params->count; ++i) {
    const int32_t value = load(x, params->input_type, i);
    switch (params->output_type) {
      case VIT_ELEMENT_FLOAT32:
        ((float*)y)[i] = (float)value;
        break;
      case VIT_ELEMENT_BOOL:
        ((uint8_t*)y)[i] = value != 0;
        break;
      default:
        ((int32_t*)y)[i] = value;
    }
  }
}
