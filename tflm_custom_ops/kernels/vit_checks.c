// SPDX-License-Identifier: Apache-2.0
#include "vit_checks.h"

#include "vit_math.h"

int vit_is_exp_table(const uint16_t* table, int32_t tokens) {
  int32_t largest = 0;
  for (int i = 0; i < 256; ++i) largest = vit_max32(largest, table[i]);
  return table[0] >= 1 && largest <= INT16_MAX && (int64_t)largest * tokens < 1 << 23;
}

int vit_is_whole_view(const VitView* view, int32_t batches, int32_t heads, int32_t tokens,
                      int32_t channels) {
  const int32_t sizes[4] = {batches, heads, tokens, channels};
  const int32_t strides[4] = {view->batch_stride, view->head_stride, view->token_stride,
                              view->channel_stride};
  int left = 4;
  for (int i = 0; i < 4; ++i) left -= sizes[i] == 1;
  // The stride of each dimension is the product of the sizes inside.
  int64_t expected = 1;
  for (int found = 1; found;) {
    found = 0;
    for (int i = 0; i < 4 && !found; ++i) {
      if (sizes[i] > 1 && strides[i] == expected) {
        expected *= sizes[i];
        found = 1;
        --left;
      }
    }
  }
  return left == 0 && view->offset == 0 && view->elements == expected;
}

int vit_are_packed_keys(const int16_t* keys, int32_t distance, int32_t head_dim) {
  const int32_t count = (2 * distance + 2) * ((head_dim + 1) / 2 * 2);
  for (int32_t i = 0; i < count; ++i) {
    const int32_t low = (int8_t)keys[i], high = (keys[i] - low) >> 8;
    if (low < -INT8_MAX || high < -INT8_MAX || high > INT8_MAX) return 0;
  }
  return 1;
}

// A weight of the channel in the low (0) or the high (1) byte.
static int32_t pair_weight(int16_t packed, int32_t channel) {
  const int32_t low = (int8_t)packed;
  return channel ? (packed - low) >> 8 : low;
}

// A weight of 4 bits of channel 0 .. 3: 16 times the number.
static int32_t quad_weight(int16_t packed, int32_t channel) {
  return (int8_t)((uint16_t)packed >> 4 * channel << 4);
}

// Whether the sums of a block of a channel stay in range whatever the inputs are, with and without
// an offset. `channel`: of those that lie together.
static int is_exact_block(const VitLinearParams* layer, const int16_t* weights, int32_t count,
                          int32_t channel, int32_t offset) {
  int32_t positive = 0, negative = 0;
  for (int32_t k = 0; k < count; ++k) {
    const int32_t weight =
        layer->layout ? quad_weight(weights[k], channel) : pair_weight(weights[k], channel);
    if (weight < -INT8_MAX || weight > INT8_MAX) return 0;
    positive += weight > 0 ? weight : 0;
    negative -= weight < 0 ? weight : 0;
  }
  const int64_t high = INT64_C(127) * positive + INT64_C(128) * negative;
  const int64_t low = INT64_C(-128) * positive - INT64_C(127) * negative;
  const int64_t limit = 1 << 23;
  return high < limit && low >= -limit && high + offset < limit && low + offset >= -limit;
}

int vit_is_exact(const VitLinearParams* layer) {
  const int32_t even = (layer->in_features + 1) / 2 * 2, group = layer->layout ? 4 : 2;
  for (int32_t channel = 0; channel < layer->out_features; ++channel) {
    const int16_t* weights = layer->weights + (size_t)(channel / group) * (size_t)even;
    const int32_t offset = layer->k_block > even ? layer->bias[channel] : 0;
    for (int32_t start = 0; start < layer->in_features; start += layer->k_block) {
      const int32_t count = vit_min32(layer->k_block, layer->in_features - start);
      if (!is_exact_block(layer, weights + start, count, channel % group, offset)) return 0;
    }
  }
  return 1;
}

static int same_bytes(const void* a, const void* b, size_t bytes) {
  const uint8_t *p = (const uint8_t*)a, *q = (const uint8_t*)b;
  for (size_t i = 0; i < bytes; ++i) {
    if (p[i] != q[i]) return 0;
  }
  return 1;
}

int vit_same_linear(const VitLinearParams* a, const VitLinearParams* b) {
  const size_t n = (size_t)a->out_features;
  const size_t group = a->layout ? 4 : 2;
  const size_t packed = (n + group - 1) / group * (((size_t)a->in_features + 1) / 2 * 2);
  return a->layout == b->layout && a->in_features == b->in_features &&
         a->out_features == b->out_features && a->shift == b->shift &&
         a->out_zero_point == b->out_zero_point && a->out_min == b->out_min &&
         a->out_max == b->out_max && same_bytes(a->weights, b->weights, packed * sizeof(int16_t)) &&
         same_bytes(a->bias, b->bias, n * sizeof(int32_t)) &&
         same_bytes(a->multiplier, b->multiplier, n * sizeof(int32_t));
}
