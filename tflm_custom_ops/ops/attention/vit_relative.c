// SPDX-License-Identifier: Apache-2.0
#include "vit_relative.h"

#include "vit_math.h"
#include "vit_softmax.h"

#define MAX_ENTRIES (4 * VIT_MAX_RELATIVE_DISTANCE + 4)

// Entries of places 0, 1, ... of a line as seen from place `from`: the first one, and whether that
// of `place` is followed by another.
static inline int32_t first_entry(const VitAttentionParams* p, int32_t from) {
  return p->relative_distance + 1 - vit_min32(from, p->relative_distance);
}

static inline int32_t is_followed(const VitAttentionParams* p, int32_t from, int32_t place) {
  return place >= from - p->relative_distance && place < from + p->relative_distance;
}

// First entry of the table by column distance.
static inline int32_t columns_of(const VitAttentionParams* p) {
  return 2 * p->relative_distance + 2;
}

void vit_add_relative(const VitAttentionParams* p, int32_t query, int32_t tokens,
                      const int32_t* products, int32_t* scores) {
  int32_t rows[MAX_ENTRIES];
  const int32_t* const columns = rows + columns_of(p);
  const int32_t place = query - p->prefix_tokens, shift = p->relative_key_shift;
  if (place < 0) return;  // the same for all keys: the softmax does not see it
  const int32_t half = (1 << shift) >> 1;
  for (int32_t i = 0; i < vit_relative_entries(p); ++i) {
    rows[i] = (products[vit_score_at(i)] * (1 << VIT_RELATIVE_BITS) + half) >> shift;
  }
  const int32_t y = place / p->grid_width, x = place - y * p->grid_width;
  int32_t j = 0, row = first_entry(p, y);
  for (; j < vit_min32(p->prefix_tokens, tokens); ++j) {
    scores[vit_score_at(j)] += rows[0] + columns[0];
  }
  for (int32_t line = 0; j < tokens; ++line) {
    const int32_t end = vit_min32(p->grid_width, tokens - j);
    for (int32_t i = 0, column = first_entry(p, x); i < end; ++i, ++j) {
      scores[vit_score_at(j)] += rows[row] + columns[column];
      column += is_followed(p, x, i);
    }
    row += is_followed(p, y, line);
  }
}

void vit_relative_sums(const VitAttentionParams* p, int32_t query, const int16_t* e, int32_t total,
                       int16_t* sums) {
  int32_t rows[MAX_ENTRIES] = {0};
  int32_t* const columns = rows + columns_of(p);
  const int32_t place = query - p->prefix_tokens;
  if (place < 0) {
    rows[0] = total;
  } else {
    const int32_t y = place / p->grid_width, x = place - y * p->grid_width;
    int32_t j = 0, row = first_entry(p, y);
    for (; j < p->prefix_tokens; ++j) rows[0] += e[vit_exponential_at(j)];
    for (int32_t line = 0; line < p->grid_height; ++line) {
      int32_t sum = 0;
      for (int32_t i = 0, column = first_entry(p, x); i < p->grid_width; ++i, ++j) {
        const int32_t value = e[vit_exponential_at(j)];
        sum += value;
        columns[column] += value;
        column += is_followed(p, x, i);
      }
      rows[row] += sum;
      row += is_followed(p, y, line);
    }
  }
  columns[0] = rows[0];
  const int32_t shift = vit_clz32((uint32_t)total) - 9;
  for (int32_t i = 0; i < vit_relative_entries(p); ++i) {
    sums[vit_exponential_at(i)] = (int16_t)((rows[i] << shift) >> 8);
  }
}
