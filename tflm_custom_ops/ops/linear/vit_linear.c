// SPDX-License-Identifier: Apache-2.0
#include "vit_kernels.h"
#include "vit_layout.h"
#include "vit_linear_rows.h"
#include "vit_math.h"
#include "vit_store_mve.h"

static int32_t in_features(const VitProjection* p) {
  return p->rank ? p->down.in_features : p->up.in_features;
}

static int32_t tile_of(const VitLinearOpParams* p) { return vit_min32(p->token_tile, p->rows); }

static size_t input_bytes(const VitLinearOpParams* p) {
  return vit_area(vit_row_capacity(tile_of(p)), vit_even(in_features(&p->projection)),
                  sizeof(int16_t));
}

static size_t middle_bytes(const VitLinearOpParams* p) {
  return vit_area(vit_row_capacity(tile_of(p)), vit_even(p->projection.rank), sizeof(int16_t));
}

static size_t expansion_bytes(const VitLinearOpParams* p) {
  return vit_expansion_bytes(vit_projection_inputs(&p->projection), p->expanded_inputs);
}

size_t vit_linear_scratch_bytes(const VitLinearOpParams* params) {
  return input_bytes(params) + middle_bytes(params) + expansion_bytes(params);
}

void vit_linear(const VitLinearOpParams* params, const int8_t* x, int8_t* y, void* scratch) {
  const VitProjection* p = &params->projection;
  const int32_t k = in_features(p), n = p->up.out_features, tile = tile_of(params);
  uint8_t* middle = (uint8_t*)scratch + input_bytes(params);
  const VitExpansion expansion =
      vit_expansion(middle + middle_bytes(params), expansion_bytes(params));
  VitStore store = {0};
  store.function = vit_store_int8;
  store.out_stride = n;
#if VIT_USE_MVE
  if (!p->rank && vit_mve_takes_int8(&p->up, x)) {
    store.out = y;
    vit_mve_linear_int8(&p->up, x, params->rows, &store);
    return;
  }
#endif
  for (int32_t row = 0; row < params->rows; row += tile) {
    const VitRows inputs = {(int16_t*)scratch, vit_even(k), vit_min32(tile, params->rows - row)};
    vit_input_rows(x + (ptrdiff_t)row * k, k, k, inputs);
    store.out = y + (ptrdiff_t)row * n;
    vit_project(p, inputs, (int16_t*)middle, (VitRange){0, n}, expansion, &store);
  }
}
