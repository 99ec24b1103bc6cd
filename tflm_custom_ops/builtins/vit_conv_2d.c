// SPDX-License-Identifier: Apache-2.0
// Convolution on the linear layers of the fused operators: the patches of a few output pixels are
// gathered as wide rows (vit_linear_rows.h), as many inputs at a time as the scratch holds.
#include <string.h>

#include "vit_builtins.h"
#include "vit_conv_2d_mve.h"
#include "vit_linear_rows.h"
#include "vit_rescale.h"

typedef struct {
  int16_t* values;  // wide rows: [rows][inputs]
  int32_t* sums;    // [rows][channels]
  VitExpansion expansion;
} Buffers;

// Writes elements [at, at + count) of a wide row, in pairs where they are adjacent there.
static void put(VitInput* row, int32_t at, int32_t count, const int8_t* from) {
  int32_t i = 0;
  if (at & 1 && count > 0) row[vit_wide_at(at)] = from[i++];
  VitInput* pair = row + vit_wide_at(at + i);
  for (; i + 1 < count; i += 2, pair += vit_wide_at(2)) {
    pair[0] = from[i];
    pair[1] = from[i + 1];
  }
  if (i < count) pair[0] = from[i];
}

static void put_value(VitInput* row, int32_t at, int32_t count, int32_t value) {
  for (int32_t i = 0; i < count; ++i) row[vit_wide_at(at + i)] = (VitInput)value;
}

// Inputs [k.begin, k.end) of one output pixel, and zeros up to the row's end.
static void gather(const VitConv2DParams* p, const int8_t* x, int32_t pixel, VitRange k,
                   VitInput* row) {
  const VitWindow* w = &p->window;
  const int32_t top = pixel / w->output_width * w->stride_y - w->pad_top;
  const int32_t left = pixel % w->output_width * w->stride_x - w->pad_left;
  int32_t tap = k.begin / w->input_channels;
  int32_t channel = k.begin % w->input_channels;
  int32_t at = 0;
  while (at < k.end - k.begin) {
    const int32_t iy = top + tap / w->kernel_width * w->dilation_y;
    const int32_t ix = left + tap % w->kernel_width * w->dilation_x;
    const int32_t count = vit_min32(k.end - k.begin - at, w->input_channels - channel);
    if (iy >= 0 && iy < w->input_height && ix >= 0 && ix < w->input_width) {
      put(row, at, count, x + ((ptrdiff_t)iy * w->input_width + ix) * w->input_channels + channel);
    } else {
      put_value(row, at, count, p->input_zero_point);
    }
    at += count;
    channel = 0;
    ++tap;
  }
  if (at & 1) row[vit_wide_at(at)] = 0;
}

// Everything in locals: y may alias all that it is computed from, for all the compiler knows.
static inline __attribute__((always_inline)) void store_rows(const VitConv2DParams* p,
                                                             const int32_t* restrict sums,
                                                             int32_t stride, int32_t rows,
                                                             VitRange n, int8_t* restrict y,
                                                             int has_16) {
  const VitLinearParams linear = p->linear;
  const int32_t* restrict shift = p->shift + n.begin;
  const int32_t* restrict bias = linear.bias + n.begin;
  const int32_t* restrict multiplier = linear.multiplier + n.begin;
  const int32_t count = n.end - n.begin;
  y += n.begin;
  for (int32_t r = 0; r < rows; ++r, sums += stride, y += linear.out_features) {
    for (int32_t c = 0; c < count; ++c) {
      const int32_t sum = sums[c] + bias[c];
      const int32_t large = (int32_t)((uint32_t)sum << linear.shift);
      const int32_t value = has_16 ? vit_rescale_16(large, multiplier[c], shift[c])
                                   : vit_rescale(sum, multiplier[c], shift[c]);
      y[c] = (int8_t)vit_clamp_i32(value + linear.out_zero_point, linear.out_min, linear.out_max);
    }
  }
}

static void store(const VitConv2DParams* p, const int32_t* sums, int32_t stride, int32_t rows,
                  VitRange n, int8_t* y) {
  if (p->linear.layout || p->linear.shift) {
    store_rows(p, sums, stride, rows, n, y, 1);
  } else {
    store_rows(p, sums, stride, rows, n, y, 0);
  }
}

// Output channels `n` of `rows` pixels from `pixel` on.
static void convolve(const VitConv2DParams* p, const int8_t* x, int32_t pixel, int32_t rows,
                     VitRange n, const Buffers* buffers, int8_t* y) {
  const int32_t k_all = p->linear.in_features;
  VitStore sums = {0};
  sums.function = vit_store_add;
  sums.out = buffers->sums;
  sums.out_stride = n.end - n.begin;
  sums.first_channel = n.begin;
  memset(buffers->sums, 0, sizeof(int32_t) * (size_t)(rows * sums.out_stride));
  for (VitRange k = {0, 0}; k.begin < k_all; k.begin = k.end) {
    k.end = vit_min32(k.begin + p->inputs, k_all);
    const VitRows patches = {buffers->values, vit_even(k.end - k.begin), rows};
    // All inputs at once are gathered for the first channels and kept for the others.
    if (p->inputs < k_all || n.begin == 0) {
      for (int32_t r = 0; r < rows; ++r) gather(p, x, pixel + r, k, vit_input_row(patches, r));
    }
    vit_linear_rows(&p->linear, patches, n, k, buffers->expansion, &sums);
  }
  store(p, buffers->sums, sums.out_stride, rows, n, y + (ptrdiff_t)pixel * p->linear.out_features);
}

static size_t values_bytes(const VitConv2DParams* p) {
  return sizeof(int16_t) * (size_t)(p->rows * p->inputs);
}

static size_t sums_bytes(const VitConv2DParams* p) {
  return sizeof(int32_t) * (size_t)(p->rows * p->channels);
}

static size_t expansion_bytes(const VitConv2DParams* p) {
  return vit_expansion_bytes(p->inputs, VIT_MAX_EXPANSION);
}

size_t vit_conv_2d_scratch_bytes(const VitConv2DParams* params) {
  return values_bytes(params) + sums_bytes(params) + expansion_bytes(params);
}

void vit_conv_2d(const VitConv2DParams* params, const int8_t* x, int8_t* y, void* scratch) {
  const int32_t pixels = params->window.output_height * params->window.output_width;
  const int32_t channels = params->linear.out_features;
#if VIT_USE_MVE
  if (vit_mve_conv_2d(params, x, y, scratch, vit_conv_2d_scratch_bytes(params))) return;
#endif
  Buffers buffers;
  buffers.values = (int16_t*)scratch;
  uint8_t* sums = (uint8_t*)scratch + values_bytes(params);
  buffers.sums = (int32_t*)(void*)sums;
  buffers.expansion = vit_expansion(sums + sums_bytes(params), expansion_bytes(params));
  memset(scratch, 0, values_bytes(params));  // rows past the last pixel are computed too
  for (int32_t pixel = 0; pixel < pixels; pixel += params->rows) {
    const int32_t rows = vit_min32(params->rows, pixels - pixel);
    for (VitRange n = {0, 0}; n.begin < channels; n.begin = n.end) {
      n.end = vit_min32(n.begin + params->channels, channels);
      convolve(params, x, pixel, rows, n, &buffers, y);
    }
  }
}

void vit_conv_2d_on_stack(const VitConv2DParams* params, const int8_t* x, int8_t* y) {
  int32_t scratch[VIT_CONV_2D_STACK_BYTES / sizeof(int32_t)];
#if VIT_USE_MVE
  if (vit_mve_conv_2d(params, x, y, scratch, sizeof scratch)) return;
#endif
  vit_conv_2d(params, x, y, scratch);
}
