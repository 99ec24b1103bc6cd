// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "vit_kernels.h"
#include "vit_layout.h"
#include "vit_linear_rows.h"
#include "vit_math.h"
#include "vit_norm.h"

// Scratch: wide rows of a tile, then a patch before its norm; while the tile is multiplied the
// expanded weights lie there.
static size_t rows_bytes(const VitPatchMergeParams* p) {
  const int32_t tile = vit_min32(p->token_tile, p->grid_height * p->grid_width);
  return vit_area(vit_row_capacity(tile), vit_even(p->linear.in_features), sizeof(int16_t));
}

static size_t shared_bytes(const VitPatchMergeParams* p) {
  const int32_t k = p->linear.in_features;
  return vit_max_size(vit_align((size_t)(k * (p->bits / 8))),
                      vit_expansion_bytes(k, p->expanded_inputs));
}

size_t vit_patch_merge_scratch_bytes(const VitPatchMergeParams* params) {
  return rows_bytes(params) + shared_bytes(params);
}

void vit_patch_merge(const VitPatchMergeParams* params, const void* x, void* y, void* scratch) {
  const VitPatchMergeParams* p = params;
  const VitLinearParams* linear = &p->linear;
  const VitResidual stream = {p->bits, 0, 0, 0};
  const int32_t size = p->bits / 8, tokens = p->grid_height * p->grid_width;
  const int32_t k = linear->in_features, n = linear->out_features;
  const int32_t run = p->stride * p->channels * size;
  VitRows rows = {(int16_t*)scratch, vit_even(k), 0};
  uint8_t* patch = (uint8_t*)scratch + rows_bytes(p);
  const VitExpansion expansion = vit_expansion(patch, shared_bytes(p));
  VitStore store = {0};
  store.function = p->bits == 16 ? vit_store_int16 : vit_store_int8;
  store.out = y;
  store.out_stride = n;
  const uint8_t* from = (const uint8_t*)x;  // the next patch
  for (int32_t token = 0, column = 0; token < tokens; token += rows.rows) {
    rows.rows = vit_min32(p->token_tile, tokens - token);
    for (int32_t r = 0; r < rows.rows; ++r) {
      for (int32_t i = 0; i < p->stride; ++i) {
        memcpy(patch + i * run, from + i * (p->grid_width * run), (size_t)run);
      }
      vit_norm_rows(&p->norm, patch, &stream, (VitRows){vit_wide_row(rows, r), rows.stride, 1});
      from += run;
      if (++column == p->grid_width) {
        column = 0;
        from += (p->stride - 1) * (p->grid_width * run);
      }
    }
    vit_linear_rows(linear, rows, (VitRange){0, n}, (VitRange){0, k}, expansion, &store);
    store.out = (uint8_t*)store.out + rows.rows * (n * size);
  }
}
