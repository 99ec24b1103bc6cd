// SPDX-License-Identifier: Apache-2.0
#include "vit_norm.h"

#include "vit_norm_dsp.h"
#include "vit_norm_math.h"

#if VIT_USE_DSP
// Pairs of elements by the assembly, an odd last one, at out[last], here.
#define NORMALIZE(out_type, pairs_function, last, load, put)                                   \
  const VitDspNormalize pairs = {                                                              \
      x, out, p->gamma, p->beta, n.scale, vit_sub32(0, n.offset), n.reciprocal, d / 2};        \
  const int32_t end = d & 1 ? vit_normalize(n, x[d - 1], p->gamma[d - 1], p->beta[d - 1]) : 0; \
  pairs_function(&pairs);                                                                      \
  if (d & 1) out[last] = (out_type)end;
#elif VIT_USE_MVE
#define NORMALIZE(out_type, pairs_function, last, load, put) \
  VIT_MVE_NORMALIZE(load##q_s32, put##q_s32, load##q_z_s32, put##q_p_s32)
#else
#define NORMALIZE(out_type, pairs_function, last, load, put)      \
  const int32_t *gamma = p->gamma, *beta = p->beta;               \
  for (int32_t i = 0; i < d; ++i) {                               \
    out[i] = (out_type)vit_normalize(n, x[i], gamma[i], beta[i]); \
  }
#endif

static void int8_to_wide(const VitNorm* p, int32_t zero_point, const int8_t* restrict x,
                         VitInput* restrict out) {
  const int32_t d = p->features;
  const VitNormalizer n =
      vit_normalizer(p, vit_norm_sums_of(p, vit_norm_sums_int8(x, d), zero_point));
  NORMALIZE(int16_t, vit_dsp_normalize_8_tile, vit_wide_at(d - 1), vldrb, vstrb)
}

// int16 streams have zero point 0.
static void int16_to_wide(const VitNorm* p, const int16_t* restrict x, VitInput* restrict out) {
  const int32_t d = p->features;
  const VitNormalizer n = vit_normalizer(p, vit_norm_sums_of(p, vit_norm_sums_int16(x, d), 0));
  NORMALIZE(int16_t, vit_dsp_normalize_16_tile, vit_wide_at(d - 1), vldrh, vstrb)
}

void vit_norm_rows(const VitNorm* p, const void* x, const VitResidual* stream, VitRows out) {
  for (int32_t r = 0; r < out.rows; ++r) {
    const void* row = vit_stream_row(x, stream->bits, r, p->features);
    VitInput* to = vit_input_row(out, r);
    if (stream->bits == 16) {
      int16_to_wide(p, (const int16_t*)row, to);
    } else {
      int8_to_wide(p, stream->zero_point, (const int8_t*)row, to);
    }
  }
  vit_pad_inputs(out, p->features);
}

void vit_norm_token(const VitNorm* p, const void* token, int32_t bits, int8_t* out) {
  const int32_t d = p->features;
  if (bits == 16) {
    const int16_t* x = (const int16_t*)token;
    const VitNormalizer n = vit_normalizer(p, vit_norm_sums_int16(x, d));
    NORMALIZE(int8_t, vit_dsp_normalize_16_bytes, d - 1, vldrh, vstrb)
  } else {
    const int8_t* x = (const int8_t*)token;
    const VitNormalizer n = vit_normalizer(p, vit_norm_sums_int8(x, d));
    NORMALIZE(int8_t, vit_dsp_normalize_8_bytes, d - 1, vldrb, vstrb)
  }
}
