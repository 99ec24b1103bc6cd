// SPDX-License-Identifier: Apache-2.0
#include "vit_builtins.h"
#include "vit_rescale.h"

// Beyond this every output type saturates, and the conversion to int32_t is defined.
#define LARGEST_STEPS 1048576.0f

static int32_t load(const void* x, int32_t type, int32_t i) {
  switch (type) {
    case VIT_ELEMENT_UINT8:
      return ((const uint8_t*)x)[i];
    case VIT_ELEMENT_INT16:
      return ((const int16_t*)x)[i];
    default:
      return ((const int8_t*)x)[i];
  }
}

static void store(void* y, int32_t type, int32_t i, int32_t value) {
  switch (type) {
    case VIT_ELEMENT_UINT8:
      ((uint8_t*)y)[i] = (uint8_t)value;
      break;
    case VIT_ELEMENT_INT16:
      ((int16_t*)y)[i] = (int16_t)value;
      break;
    default:
      ((int8_t*)y)[i] = (int8_t)value;
  }
}

// Half away from zero; NaN is the lowest value.
static int32_t round_steps(float steps) {
  if (!(steps > -LARGEST_STEPS)) return -(int32_t)LARGEST_STEPS;
  if (steps > LARGEST_STEPS) return (int32_t)LARGEST_STEPS;
  const int32_t whole = (int32_t)steps;
  const float rest = steps - (float)whole;  // exact
  if (rest >= 0.5f) return whole + 1;
  return rest <= -0.5f ? whole - 1 : whole;
}

void vit_quantize(const VitQuantizeParams* params, const float* x, void* y) {
  for (int32_t i = 0; i < params->count; ++i) {
    const int32_t value = round_steps(x[i] / params->scale) + params->zero_point;
    store(y, params->type, i, vit_clamp_i32(value, params->out_min, params->out_max));
  }
}

void vit_requantize(const VitRequantizeParams* params, const void* x, void* y) {
  for (int32_t i = 0; i < params->count; ++i) {
    const int32_t centered = load(x, params->input_type, i) - params->input_zero_point;
    const int32_t value = vit_rescale(centered, params->out_multiplier, params->out_shift);
    const int32_t shifted = value + params->output_zero_point;
    const int32_t clamped = vit_clamp_i32(shifted, params->out_min, params->out_max);
    store(y, params->output_type, i, clamped);
  }
}

void vit_dequantize(const VitDequantizeParams* params, const void* x, float* y) {
  for (int32_t i = 0; i < params->count; ++i) {
    y[i] = params->scale * (float)(load(x, params->type, i) - params->zero_point);
  }
}
