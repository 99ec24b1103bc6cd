// SPDX-License-Identifier: Apache-2.0
#include "vit_kernels.h"
#include "vit_math.h"
#include "vit_norm.h"
#include "vit_norm_math.h"

size_t vit_rms_norm_scratch_bytes(const VitRmsNormParams* params) {
  (void)params;
  return 0;
}

void vit_rms_norm(const VitRmsNormParams* params, const void* x, int8_t* y, void* scratch) {
  (void)scratch;
  const VitRmsNormParams* p = params;
  const int32_t d = p->embed_dim, beta = p->out_zero_point * 256 + 128;
  VitNorm norm = {0};
  norm.features = d;
  norm.kind = kVitNormKindRms;
  norm.epsilon = p->epsilon;
  for (int32_t t = 0; t < p->tokens; ++t, y += d) {
    const void* row = vit_stream_row(x, p->input_bits, t, d);
    if (p->input_bits == 16) {
      const int16_t* from = (const int16_t*)row;
      const VitNormSums sums =
          vit_norm_sums_of(&norm, vit_norm_sums_int16(from, d), p->input_zero_point);
      const VitNormalizer n = vit_normalizer(&norm, sums);
      for (int32_t i = 0; i < d; ++i) y[i] = (int8_t)vit_normalize(n, from[i], p->gamma[i], beta);
    } else {
      const int8_t* from = (const int8_t*)row;
      const VitNormSums sums =
          vit_norm_sums_of(&norm, vit_norm_sums_int8(from, d), p->input_zero_point);
      const VitNormalizer n = vit_normalizer(&norm, sums);
      for (int32_t i = 0; i < d; ++i) y[i] = (int8_t)vit_normalize(n, from[i], p->gamma[i], beta);
    }
  }
}
