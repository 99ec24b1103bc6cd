// SPDX-License-Identifier: Apache-2.0
// The two-row forms load bias and multiplier once per two results and clamp with one
// saturating instruction; they serve layers whose output takes the whole int8 (or int16) range.
// Everything else goes through the one-row forms, which clamp to any range.
#include "vit_store.h"

#include "vit_math.h"

// Each iteration touches its own elements only (out may equal in, at the same index).
#if defined(__GNUC__) && !defined(__clang__)
#define VIT_INDEPENDENT _Pragma("GCC ivdep")
#else
#define VIT_INDEPENDENT
#endif

static inline int is_full_int8(const VitLinearParams* p) {
  return p->out_min == -128 && p->out_max == 127;
}

// Column of channel n in the output.
static inline int32_t column(const VitStore* store, const VitSums* sums) {
  return sums->n - store->first_channel;
}

// Requantized to the layer's own clamp range.
static inline int32_t requantize(const VitLinearParams* p, int32_t acc, int32_t n) {
  const int32_t a = vit_shl32(vit_add32(acc, p->bias[n]), p->shift);
  const int32_t v = vit_mulh_add(p->out_zero_point, a, p->multiplier[n]);
  return vit_clamp(v, p->out_min, p->out_max);
}

// Requantized to [-128, 127].
static inline int32_t requantize_int8(int32_t acc, int32_t bias, int32_t multiplier, int32_t shift,
                                      int32_t zero_point) {
  return vit_sat8(vit_mulh_add(zero_point, vit_shl32(vit_add32(acc, bias), shift), multiplier));
}

void vit_store_int8(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  int8_t* out = (int8_t*)store->out + sums->row * store->out_stride + column(store, sums);
  if (sums->rows == 2 && is_full_int8(p)) {
    const int32_t *acc0 = sums->acc, *acc1 = acc0 + sums->acc_stride;
    const int32_t *bias = p->bias + sums->n, *multiplier = p->multiplier + sums->n;
    const int32_t shift = p->shift, zero_point = p->out_zero_point, count = sums->count;
    int8_t *out0 = out, *out1 = out0 + store->out_stride;
    VIT_INDEPENDENT
    for (int32_t i = 0; i < count; ++i) {
      const int32_t b = bias[i], m = multiplier[i];
      out0[i] = (int8_t)requantize_int8(acc0[i], b, m, shift, zero_point);
      out1[i] = (int8_t)requantize_int8(acc1[i], b, m, shift, zero_point);
    }
    return;
  }
  for (int32_t r = 0; r < sums->rows; ++r) {
    const int32_t* acc = sums->acc + r * sums->acc_stride;
    VIT_INDEPENDENT
    for (int32_t i = 0; i < sums->count; ++i) out[i] = (int8_t)requantize(p, acc[i], sums->n + i);
    out += store->out_stride;
  }
}

void vit_store_int16(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  int16_t* out = (int16_t*)store->out + sums->row * store->out_stride + column(store, sums);
  if (sums->rows == 2 && is_full_int8(p)) {
    const int32_t *acc0 = sums->acc, *acc1 = acc0 + sums->acc_stride;
    const int32_t *bias = p->bias + sums->n, *multiplier = p->multiplier + sums->n;
    const int32_t shift = p->shift, zero_point = p->out_zero_point, count = sums->count;
    int16_t *out0 = out, *out1 = out0 + store->out_stride;
    VIT_INDEPENDENT
    for (int32_t i = 0; i < count; ++i) {
      const int32_t b = bias[i], m = multiplier[i];
      out0[i] = (int16_t)requantize_int8(acc0[i], b, m, shift, zero_point);
      out1[i] = (int16_t)requantize_int8(acc1[i], b, m, shift, zero_point);
    }
    return;
  }
  for (int32_t r = 0; r < sums->rows; ++r) {
    const int32_t* acc = sums->acc + r * sums->acc_stride;
    VIT_INDEPENDENT
    for (int32_t i = 0; i < sums->count; ++i) out[i] = (int16_t)requantize(p, acc[i], sums->n + i);
    out += store->out_stride;
  }
}

#if !VIT_USE_DSP && !VIT_USE_MVE
void vit_store_wide(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  vit_store_int16(store, p, sums);
}

void vit_store_lut(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  int16_t* out = (int16_t*)store->out + sums->row * store->out_stride + column(store, sums);
  const int8_t* lut = store->lut + 128;
  if (sums->rows == 2 && is_full_int8(p)) {
    const int32_t *acc0 = sums->acc, *acc1 = acc0 + sums->acc_stride;
    const int32_t *bias = p->bias + sums->n, *multiplier = p->multiplier + sums->n;
    const int32_t shift = p->shift, zero_point = p->out_zero_point, count = sums->count;
    int16_t *out0 = out, *out1 = out0 + store->out_stride;
    VIT_INDEPENDENT
    for (int32_t i = 0; i < count; ++i) {
      const int32_t b = bias[i], m = multiplier[i];
      out0[i] = lut[requantize_int8(acc0[i], b, m, shift, zero_point)];
      out1[i] = lut[requantize_int8(acc1[i], b, m, shift, zero_point)];
    }
    return;
  }
  for (int32_t r = 0; r < sums->rows; ++r) {
    const int32_t* acc = sums->acc + r * sums->acc_stride;
    for (int32_t i = 0; i < sums->count; ++i) {
      out[i] = lut[vit_sat8(requantize(p, acc[i], sums->n + i))];
    }
    out += store->out_stride;
  }
}

#endif  // !VIT_USE_DSP && !VIT_USE_MVE

// One result of a residual form, clamped to the layer's own range.
static inline int32_t add_residual(const VitStore* store, const VitLinearParams* p, int32_t acc,
                                   int32_t n, int32_t in) {
  const int32_t a = vit_shl32(vit_add32(acc, p->bias[n]), p->shift);
  const int32_t b = vit_shl32(in - store->in_zero_point, store->in_shift);
  const int32_t v = vit_mulh2_add(p->out_zero_point, a, p->multiplier[n], b, store->in_multiplier);
  return vit_clamp(v, p->out_min, p->out_max);
}

void vit_store_residual_8_8(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  const int32_t c = column(store, sums);
  for (int32_t r = 0; r < sums->rows; ++r) {
    const int32_t* acc = sums->acc + r * sums->acc_stride;
    const int8_t* in = (const int8_t*)store->in + (sums->row + r) * store->in_stride + c;
    int8_t* out = (int8_t*)store->out + (sums->row + r) * store->out_stride + c;
    VIT_INDEPENDENT
    for (int32_t i = 0; i < sums->count; ++i) {
      out[i] = (int8_t)add_residual(store, p, acc[i], sums->n + i, in[i]);
    }
  }
}

void vit_store_residual_16_16(const VitStore* store, const VitLinearParams* p,
                              const VitSums* sums) {
  const int32_t c = column(store, sums);
  for (int32_t r = 0; r < sums->rows; ++r) {
    const int32_t* acc = sums->acc + r * sums->acc_stride;
    const int16_t* in = (const int16_t*)store->in + (sums->row + r) * store->in_stride + c;
    int16_t* out = (int16_t*)store->out + (sums->row + r) * store->out_stride + c;
    VIT_INDEPENDENT
    for (int32_t i = 0; i < sums->count; ++i) {
      out[i] = (int16_t)add_residual(store, p, acc[i], sums->n + i, in[i]);
    }
  }
}

void vit_store_residual_8_16(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  const int32_t c = column(store, sums);
  for (int32_t r = 0; r < sums->rows; ++r) {
    const int32_t* acc = sums->acc + r * sums->acc_stride;
    const int8_t* in = (const int8_t*)store->in + (sums->row + r) * store->in_stride + c;
    int16_t* out = (int16_t*)store->out + (sums->row + r) * store->out_stride + c;
    VIT_INDEPENDENT
    for (int32_t i = 0; i < sums->count; ++i) {
      out[i] = (int16_t)add_residual(store, p, acc[i], sums->n + i, in[i]);
    }
  }
}

void vit_store_key(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  for (int32_t r = 0; r < sums->rows; ++r) {
    const int32_t row = store->first_row + sums->row + r;
    const int32_t* acc = sums->acc + r * sums->acc_stride;
    int16_t* out = (int16_t*)store->out + (row >> 1) * store->out_stride + column(store, sums);
    if (row & 1) {
      VIT_INDEPENDENT
      for (int32_t i = 0; i < sums->count; ++i) {
        out[i] = (int16_t)(out[i] + 256 * requantize(p, acc[i], sums->n + i));
      }
    } else {
      VIT_INDEPENDENT
      for (int32_t i = 0; i < sums->count; ++i) {
        out[i] = (int16_t)requantize(p, acc[i], sums->n + i);
      }
    }
  }
}

void vit_store_value(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  int8_t* out = (int8_t*)store->out + column(store, sums) * store->out_stride + sums->row;
  for (int32_t i = 0; i < sums->count; ++i) {
    for (int32_t r = 0; r < sums->rows; ++r) {
      const int32_t acc = sums->acc[r * sums->acc_stride + i];
      out[r] = (int8_t)requantize(p, acc, sums->n + i);
    }
    out += store->out_stride;
  }
}

void vit_store_add(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  (void)p;
  for (int32_t r = 0; r < sums->rows; ++r) {
    const int32_t* acc = sums->acc + r * sums->acc_stride;
    int32_t* out = (int32_t*)store->out + (sums->row + r) * store->out_stride + column(store, sums);
    VIT_INDEPENDENT
    for (int32_t i = 0; i < sums->count; ++i) out[i] = vit_add32(out[i], acc[i]);
  }
}
