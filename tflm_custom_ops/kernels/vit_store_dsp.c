// SPDX-License-Identifier: Apache-2.0
#include "vit_store_dsp.h"

#if VIT_USE_DSP

#include "vit_math.h"

typedef struct {
  int32_t multiplier;
  int32_t shift;
  int32_t zero_point;
  int32_t low;
  int32_t high;
} Requant;

static Requant requant_of(const VitDspColumn* c) {
  const VitLinearParams* p = c->p;
  return (Requant){p->multiplier[c->channel], p->shift, p->out_zero_point, p->out_min, p->out_max};
}

static inline int32_t requantize(Requant q, int32_t sum) {
  return vit_clamp(vit_mulh_add(q.zero_point, vit_shl32(sum, q.shift), q.multiplier), q.low,
                   q.high);
}

static int32_t position(const VitDspColumn* c) { return c->channel - c->store->first_channel; }

static void int8_column(const VitDspColumn* c) {
  const Requant q = requant_of(c);
  const int32_t stride = c->store->out_stride;
  int8_t* out = (int8_t*)c->store->out + c->first * stride + position(c);
  for (int32_t r = 0; r < c->rows; ++r, out += stride) *out = (int8_t)requantize(q, c->sums[4 * r]);
}

static void int16_column(const VitDspColumn* c) {
  const Requant q = requant_of(c);
  const int32_t stride = c->store->out_stride;
  int16_t* out = (int16_t*)c->store->out + c->first * stride + position(c);
  for (int32_t r = 0; r < c->rows; ++r, out += stride) {
    *out = (int16_t)requantize(q, c->sums[4 * r]);
  }
}

static void tile_column(const VitDspColumn* c, const int8_t* lut) {
  const Requant q = requant_of(c);
  const VitRows out = {(int16_t*)c->store->out, c->store->out_stride, 0};
  const int32_t at = vit_wide_at(position(c));
  for (int32_t r = 0; r < c->rows; ++r) {
    const int32_t value = requantize(q, c->sums[4 * r]);
    vit_wide_row(out, c->first + r)[at] = (int16_t)(lut ? lut[vit_sat8(value) + 128] : value);
  }
}

static void value_column(const VitDspColumn* c) {
  const Requant q = requant_of(c);
  int8_t* out = (int8_t*)c->store->out + position(c) * c->store->out_stride + c->first;
  for (int32_t r = 0; r < c->rows; ++r) out[r] = (int8_t)requantize(q, c->sums[4 * r]);
}

// Rows in pairs, the even one in the low byte. An odd first row completes a pair.
static void key_column(const VitDspColumn* c) {
  const Requant q = requant_of(c);
  const int32_t stride = c->store->out_stride, row = c->store->first_row + c->first;
  int16_t* out = (int16_t*)c->store->out + (row >> 1) * stride + position(c);
  int32_t r = 0;
  if (row & 1) {
    *out = (int16_t)(*out + 256 * requantize(q, c->sums[0]));
    out += stride;
    r = 1;
  }
  for (; r + 1 < c->rows; r += 2, out += stride) {
    *out = (int16_t)(requantize(q, c->sums[4 * r]) + 256 * requantize(q, c->sums[4 * r + 4]));
  }
  if (r < c->rows) *out = (int16_t)requantize(q, c->sums[4 * r]);
}

static void add_column(const VitDspColumn* c) {
  const int32_t stride = c->store->out_stride;
  int32_t* out = (int32_t*)c->store->out + c->first * stride + position(c);
  for (int32_t r = 0; r < c->rows; ++r, out += stride) *out = vit_add32(*out, c->sums[4 * r]);
}

// The residual forms: constants joined in 64 bits, so that a result is two SMLAL.
typedef struct {
  Requant q;
  int64_t offset;
  int32_t in_multiplier;
  int32_t in_shift;
} Residual;

static Residual residual_of(const VitDspColumn* c) {
  const VitStore* store = c->store;
  Residual r = {requant_of(c), 0, store->in_multiplier, store->in_shift};
  const int64_t zero = (int64_t)vit_shl32(store->in_zero_point, store->in_shift);
  r.offset = (int64_t)c->p->out_zero_point * ((int64_t)1 << 32) + INT64_C(0x80000000) -
             zero * store->in_multiplier;
  return r;
}

static inline int32_t add_residual(const Residual* r, int32_t sum, int32_t in) {
  int64_t value = r->offset + (int64_t)vit_shl32(sum, r->q.shift) * r->q.multiplier;
  value += (int64_t)vit_shl32(in, r->in_shift) * r->in_multiplier;
  return vit_clamp((int32_t)(value >> 32), r->q.low, r->q.high);
}

#define RESIDUAL_COLUMN(in_type, out_type)                                            \
  const Residual residual = residual_of(c);                                           \
  const VitStore* store = c->store;                                                   \
  const int32_t in_stride = store->in_stride, out_stride = store->out_stride;         \
  const in_type* in = (const in_type*)store->in + c->first * in_stride + position(c); \
  out_type* out = (out_type*)store->out + c->first * out_stride + position(c);        \
  for (int32_t r = 0; r < c->rows; ++r, in += in_stride, out += out_stride) {         \
    *out = (out_type)add_residual(&residual, c->sums[4 * r], *in);                    \
  }

static void residual_8_8_column(const VitDspColumn* c) { RESIDUAL_COLUMN(int8_t, int8_t) }
static void residual_16_16_column(const VitDspColumn* c) { RESIDUAL_COLUMN(int16_t, int16_t) }
static void residual_8_16_column(const VitDspColumn* c) { RESIDUAL_COLUMN(int8_t, int16_t) }

static void store_column(const VitDspColumn* c) {
  const VitStoreFunction f = c->store->function;
  if (f == vit_store_residual_8_8) {
    residual_8_8_column(c);
  } else if (f == vit_store_residual_16_16) {
    residual_16_16_column(c);
  } else if (f == vit_store_residual_8_16) {
    residual_8_16_column(c);
  } else if (f == vit_store_key) {
    key_column(c);
  } else if (f == vit_store_value) {
    value_column(c);
  } else if (f == vit_store_add) {
    add_column(c);
  } else if (f == vit_store_int16) {
    int16_column(c);
  } else if (f == vit_store_int8) {
    int8_column(c);
  } else {
    tile_column(c, f == vit_store_lut ? c->store->lut : NULL);
  }
}

static int is_full_range(const VitLinearParams* p, int32_t low, int32_t high) {
  return p->out_min == low && p->out_max == high;
}

// The layer's shift, which the assembly does not do: rare for int8, common for an int16 stream.
static void shift_sums(const VitDspColumn* c) {
  const int32_t shift = c->p->shift;
  for (int32_t i = 0; shift && i < 4 * c->rows; i += 4) {
    int32_t* sums = c->sums + i;
    sums[0] = vit_shl32(sums[0], shift);
    sums[1] = vit_shl32(sums[1], shift);
    sums[2] = vit_shl32(sums[2], shift);
    sums[3] = vit_shl32(sums[3], shift);
  }
}

static void residual_quad(const VitDspColumn* c, int32_t bytes) {
  const VitStore* store = c->store;
  const Residual r = residual_of(c);
  shift_sums(c);
  const int32_t stride = store->in_stride * bytes;
  const int8_t* in = (const int8_t*)store->in + c->first * stride + position(c) * bytes;
  const int8_t* out = (const int8_t*)store->out + c->first * stride + position(c) * bytes;
  const int32_t* multiplier = c->p->multiplier + c->channel;
  const VitDspResidual job = {c->sums,
                              in,
                              (int32_t)((uintptr_t)out - (uintptr_t)in),
                              {multiplier[0], multiplier[1], multiplier[2], multiplier[3]},
                              (uint32_t)r.offset,
                              (int32_t)(r.offset >> 32),
                              r.in_multiplier,
                              r.in_shift,
                              stride - 3 * bytes,
                              c->sums + 4 * c->rows};
  if (bytes == 1) {
    vit_dsp_residual_8(&job);
  } else {
    vit_dsp_residual_16(&job);
  }
}

static void add_quad(const VitDspColumn* c) {
  const int32_t stride = c->store->out_stride;
  const int32_t* sums = c->sums;
  int32_t* out = (int32_t*)c->store->out + c->first * stride + position(c);
  for (int32_t r = 0; r < c->rows; ++r, out += stride, sums += 4) {
    out[0] = vit_add32(out[0], sums[0]);
    out[1] = vit_add32(out[1], sums[1]);
    out[2] = vit_add32(out[2], sums[2]);
    out[3] = vit_add32(out[3], sums[3]);
  }
}

// Four channels at once; returns 0 where the store or its parameters need the general loops.
static int all_channels(const VitDspColumn* c) {
  const VitStore* store = c->store;
  if (store->function == vit_store_add) {
    add_quad(c);
    return 1;
  }
  if (store->in_stride != store->out_stride) return 0;
  if (store->function == vit_store_residual_8_8 && is_full_range(c->p, -128, 127)) {
    residual_quad(c, 1);
    return 1;
  }
  if (store->function == vit_store_residual_16_16 && is_full_range(c->p, -32768, 32767)) {
    residual_quad(c, 2);
    return 1;
  }
  return 0;
}

void vit_dsp_store_quad(const VitDspColumn* column, VitRange n) {
  VitDspColumn one = *column;
  if (one.channel >= n.begin && one.channel + 4 <= n.end && all_channels(column)) return;
  for (int32_t i = 0; i < 4; ++i, ++one.channel, ++one.sums) {
    if (one.channel >= n.begin && one.channel < n.end) store_column(&one);
  }
}

// The stores to tiles, as functions of their own for sums that are complete elsewhere.
void vit_store_wide(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  const VitRows out = {(int16_t*)store->out, store->out_stride, 0};
  for (int32_t r = 0; r < sums->rows; ++r) {
    int16_t* row = vit_wide_row(out, sums->row + r);
    for (int32_t i = 0; i < sums->count; ++i) {
      const int32_t n = sums->n + i;
      const Requant q = {p->multiplier[n], p->shift, p->out_zero_point, p->out_min, p->out_max};
      const int32_t value =
          requantize(q, vit_add32(sums->acc[r * sums->acc_stride + i], p->bias[n]));
      row[vit_wide_at(n - store->first_channel)] =
          (int16_t)(store->lut ? store->lut[vit_sat8(value) + 128] : value);
    }
  }
}

void vit_store_lut(const VitStore* store, const VitLinearParams* p, const VitSums* sums) {
  vit_store_wide(store, p, sums);
}

#endif  // VIT_USE_DSP
