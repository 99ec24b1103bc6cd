// SPDX-License-Identifier: Apache-2.0
#include "vit_windows.h"

#include "vit_linear_rows.h"
#include "vit_simd.h"

// The place in a window of the first token that a roll by `shift` brought from the other edge.
static int32_t cut_of(int32_t first, int32_t window, int32_t shift, int32_t length) {
  return first + window == length ? window - shift : window;
}

VitWindow vit_window(const VitAttentionParams* p, int32_t row, int32_t column) {
  return (VitWindow){row, column, cut_of(row, p->window, p->window_shift, p->grid_height),
                     cut_of(column, p->window, p->window_shift, p->grid_width),
                     p->window_shift > 0 && (row + p->window == p->grid_height ||
                                             column + p->window == p->grid_width)};
}

static void copy(const uint8_t* from, uint8_t* to, int32_t bytes) {
  int32_t i = 0;
#if VIT_MATH_DSP
  for (; i + 4 <= bytes; i += 4) vit_store32(to + i, vit_load32(from + i));
#endif
  for (; i < bytes; ++i) to[i] = from[i];
}

void vit_copy_window(const VitAttentionParams* p, const VitWindow* window, void* grid,
                     uint8_t* tokens, int back) {
  const int32_t token = p->embed_dim * (p->residual.bits / 8);
  for (int32_t i = 0; i < p->window; ++i) {
    int32_t row = window->row + p->window_shift + i, column = window->column + p->window_shift;
    if (row >= p->grid_height) row -= p->grid_height;
    for (int32_t j = 0; j < p->window;) {
      if (column >= p->grid_width) column -= p->grid_width;
      const int32_t count = vit_min32(p->window - j, p->grid_width - column);
      uint8_t* at = (uint8_t*)grid + (ptrdiff_t)(row * p->grid_width + column) * token;
      const int32_t bytes = count * token;
      copy(back ? tokens : at, back ? at : tokens, bytes);
      tokens += bytes;
      column += count;
      j += count;
    }
  }
}

// The places of a window's line that one of them sees, with a cut at `cut`.
static VitRange seen_from(int32_t place, int32_t cut, int32_t side) {
  return place < cut ? (VitRange){0, cut} : (VitRange){cut, side};
}

void vit_window_bias(const VitAttentionParams* p, const VitWindow* window, int32_t head,
                     int32_t token, int16_t* bias) {
  const int32_t side = p->window, row = token / side, column = token - row * side;
  const VitRange rows = seen_from(row, window->cut_row, side);
  const VitRange columns = seen_from(column, window->cut_column, side);
  const int16_t* from = p->bias_kind ? vit_stored_bias(p, head, token) : NULL;
  ptrdiff_t stride = side;
  if (p->bias_kind == kVitBiasKindRelative) {
    stride = 2 * side - 1;
    from = p->bias + (head * stride + side - 1 - row) * stride + side - 1 - column;
  }
  for (int32_t i = 0; window->is_cut && i < p->key_tokens; ++i) bias[i] = INT16_MIN;
  for (int32_t i = rows.begin; i < rows.end; ++i) {
    for (int32_t j = columns.begin; j < columns.end; ++j) {
      bias[i * side + j] = from ? from[i * stride + j] : 0;
    }
  }
}
