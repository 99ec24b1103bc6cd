// SPDX-License-Identifier: Apache-2.0
#include "vit_kernels.h"
#include "vit_layout.h"
#include "vit_math.h"
#include "vit_norm.h"

// Mean pooling needs the sums over the tokens, and one normalised token.
static size_t sums_bytes(const VitLayerNormParams* p) {
  return vit_area(1, p->embed_dim, sizeof(int32_t));
}

size_t vit_layer_norm_scratch_bytes(const VitLayerNormParams* params) {
  if (params->pool != kVitPoolMean) return 0;
  return sums_bytes(params) + vit_area(1, params->embed_dim, sizeof(int8_t));
}

static void mean_pool(const VitLayerNormParams* p, const void* x, int8_t* y, uint8_t* scratch) {
  int32_t* sums = (int32_t*)scratch;
  int8_t* row = (int8_t*)(scratch + sums_bytes(p));
  const int32_t d = p->embed_dim, zero_sum = vit_mul32(p->tokens, p->zero_point);
  for (int32_t i = 0; i < d; ++i) sums[i] = -zero_sum;
  for (int32_t t = 0; t < p->tokens; ++t) {
    vit_norm_token(&p->norm, vit_stream_row(x, p->input_bits, t, d), p->input_bits, row);
    for (int32_t i = 0; i < d; ++i) sums[i] += row[i];
  }
  for (int32_t i = 0; i < d; ++i) {
    y[i] = (int8_t)vit_sat8(vit_mulh_add(p->pool_zero_point, sums[i], p->pool_multiplier));
  }
}

void vit_layer_norm(const VitLayerNormParams* params, const void* x, int8_t* y, void* scratch) {
  if (params->pool == kVitPoolMean) {
    mean_pool(params, x, y, (uint8_t*)scratch);
    return;
  }
  const int32_t d = params->embed_dim;
  const int32_t tokens = params->pool == kVitPoolFirst ? 1 : params->tokens;
  for (int32_t t = 0; t < tokens; ++t) {
    vit_norm_token(&params->norm, vit_stream_row(x, params->input_bits, t, d), params->input_bits,
                   y + (ptrdiff_t)t * d);
  }
}
