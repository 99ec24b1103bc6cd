// SPDX-License-Identifier: Apache-2.0
// Convolution on the matrix core of the fused operators: patches of a few output pixels are
// gathered as rows of 16-bit values, a limited number of inputs at a time, so that everything
// fits a small stack.
#include <string.h>

#include "vit_builtins.h"
#include "vit_gemm.h"
#include "vit_rescale.h"

#define ROWS (2 * VIT_ROW_GROUP)                        // output pixels at a time
#define CHUNK 256                                       // inputs gathered at a time, even
#define CHANNELS ((VIT_GEMM_ACCUMULATORS / ROWS) & ~1)  // output channels at a time

// Output pixels at a time and their gathered inputs [from, from + count) of K.
typedef struct {
  int16_t values[ROWS][CHUNK];
  int32_t sums[ROWS][CHANNELS];
  int32_t part[ROWS][CHANNELS];
} Tile;

static inline int32_t min_i32(int32_t a, int32_t b) { return a < b ? a : b; }

// One output pixel's inputs [from, from + count); the element past an odd K is 0.
static void gather(const VitConv2DParams* p, const int8_t* x, int32_t pixel, int32_t from,
                   int32_t count, int16_t* out) {
  const VitWindow* w = &p->window;
  const int32_t top = pixel / w->output_width * w->stride_y - w->pad_top;
  const int32_t left = pixel % w->output_width * w->stride_x - w->pad_left;
  int32_t tap = from / w->input_channels;
  int32_t channel = from % w->input_channels;
  while (count > 0 && tap < w->kernel_height * w->kernel_width) {
    const int32_t row = top + tap / w->kernel_width * w->dilation_y;
    const int32_t column = left + tap % w->kernel_width * w->dilation_x;
    const int32_t run = min_i32(count, w->input_channels - channel);
    if (row >= 0 && row < w->input_height && column >= 0 && column < w->input_width) {
      const int8_t* in = x + ((size_t)row * w->input_width + column) * w->input_channels + channel;
      for (int32_t i = 0; i < run; ++i) out[i] = in[i];
    } else {
      for (int32_t i = 0; i < run; ++i) out[i] = (int16_t)p->input_zero_point;
    }
    out += run;
    count -= run;
    channel = 0;
    ++tap;
  }
  for (; count > 0; --count) *out++ = 0;
}

static void store(const VitConv2DParams* p, const Tile* tile, int32_t pixel, int32_t rows,
                  int32_t first, int32_t channels, int8_t* y) {
  const int32_t depth = p->window.output_channels;
  for (int32_t r = 0; r < rows; ++r) {
    int8_t* out = y + (size_t)(pixel + r) * depth + first;
    for (int32_t c = 0; c < min_i32(channels, depth - first); ++c) {
      const int32_t acc = tile->sums[r][c] + p->bias[first + c];
      const int32_t value = vit_rescale(acc, p->multiplier[first + c], p->shift[first + c]);
      out[c] = (int8_t)vit_clamp_i32(value + p->output_zero_point, p->out_min, p->out_max);
    }
  }
}

// Sums of `rows` pixels from `pixel` for `channels` channels from `first`.
static void accumulate(const VitConv2DParams* p, const int8_t* x, int32_t pixel, int32_t rows,
                       int32_t first, int32_t channels, int32_t k_even, Tile* tile) {
  const int16_t* weights = p->weights + (size_t)(first / 2) * k_even;
  for (int32_t from = 0; from < k_even; from += CHUNK) {
    const int32_t count = min_i32(CHUNK, k_even - from);
    // A single chunk is gathered for the first channels and kept for the others.
    if (k_even > CHUNK || first == 0) {
      for (int32_t r = 0; r < rows; ++r) gather(p, x, pixel + r, from, count, tile->values[r]);
    }
    vit_gemm_rows(tile->values[0], CHUNK, rows, weights + from, k_even, count, p->k_block, channels,
                  from == 0 ? tile->sums[0] : tile->part[0], CHANNELS);
    for (int32_t r = 0; from > 0 && r < rows; ++r) {
      for (int32_t c = 0; c < channels; ++c) tile->sums[r][c] += tile->part[r][c];
    }
  }
}

void vit_conv_2d(const VitConv2DParams* params, const int8_t* x, int8_t* y) {
  const VitWindow* w = &params->window;
  const int32_t k = w->kernel_height * w->kernel_width * w->input_channels;
  const int32_t k_even = (k + 1) & ~1;
  const int32_t channels = (w->output_channels + 1) & ~1;
  const int32_t pixels = w->output_height * w->output_width;
  Tile tile;
  memset(tile.values, 0, sizeof(tile.values));  // rows past the last pixel are computed too
  for (int32_t pixel = 0; pixel < pixels; pixel += ROWS) {
    const int32_t rows = min_i32(ROWS, pixels - pixel);
    for (int32_t first = 0; first < channels; first += CHANNELS) {
      const int32_t count = min_i32(CHANNELS, channels - first);
      accumulate(params, x, pixel, rows, first, count, k_even, &tile);
      store(params, &tile, pixel, rows, first, count, y);
    }
  }
}
