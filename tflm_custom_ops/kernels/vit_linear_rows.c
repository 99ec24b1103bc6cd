// SPDX-License-Identifier: Apache-2.0
#include "vit_linear_rows.h"

#if !VIT_USE_DSP && !VIT_USE_MVE
void vit_widen_columns(const int8_t* in, int32_t in_stride, int32_t features, int32_t zero_point,
                       VitRows out) {
  for (int32_t r = 0; r < out.rows; ++r) {
    const int8_t* from = in + (ptrdiff_t)r * in_stride;
    int16_t* to = out.data + r * out.stride;
    for (int32_t i = 0; i < features; ++i) to[i] = (int16_t)(from[i] - zero_point);
  }
}
#endif  // !VIT_USE_DSP && !VIT_USE_MVE

void vit_widen_rows(const int8_t* in, int32_t in_stride, int32_t features, int32_t zero_point,
                    VitRows out) {
  vit_widen_columns(in, in_stride, features, zero_point, out);
  vit_pad_rows(out, features);
}

void vit_pad_rows(VitRows rows, int32_t features) {
  if (!(features & 1)) return;
  for (int32_t r = 0; r < rows.rows; ++r) vit_wide_row(rows, r)[vit_wide_at(features)] = 0;
}

#if !VIT_USE_DSP && !VIT_USE_MVE
void vit_linear_rows(const VitLinearParams* p, VitRows a, VitRange n, VitRange k,
                     VitExpansion expansion, const VitStore* store) {
  (void)expansion;
  int32_t acc[VIT_GEMM_ACCUMULATORS];
  const int32_t w_stride = vit_even(p->in_features);
  const int32_t k_even = vit_even(k.end - k.begin);
  const int32_t most_rows = vit_min32(vit_row_capacity(a.rows), VIT_GEMM_ROWS);
  const VitWeightKernel gemm = p->layout ? p->layout : vit_gemm_rows;
  const int32_t group = vit_weight_channels(p);
  const int32_t step = VIT_GEMM_ACCUMULATORS / most_rows;  // whole quads
  // Channels outside, rows inside: a weight is fetched once for all the rows of the call.
  for (int32_t c = n.begin & -group; c < n.end; c += step) {
    const int32_t channels = vit_min32(step, (n.end - c + group - 1) & -group);
    const int16_t* w = p->weights + (ptrdiff_t)((uint32_t)c / (uint32_t)group) * w_stride + k.begin;
    const int32_t first = vit_max32(c, n.begin);
    VitSums sums;
    sums.n = first;
    sums.count = vit_min32(c + channels, n.end) - first;
    sums.acc_stride = channels;
    for (int32_t row = 0; row < a.rows; row += most_rows) {
      const int32_t rows = vit_min32(most_rows, a.rows - row);
      gemm(a.data + row * a.stride, a.stride, rows, w, w_stride, k_even, channels, acc, channels);
      for (int32_t r = 0; r < rows; r += VIT_ROW_GROUP) {
        sums.row = row + r;
        sums.rows = vit_min32(VIT_ROW_GROUP, rows - r);
        sums.acc = acc + r * channels + (first - c);
        store->function(store, p, &sums);
      }
    }
  }
}

#endif  // !VIT_USE_DSP && !VIT_USE_MVE

void vit_project_down(const VitProjection* p, VitRows a, VitRows middle, VitExpansion expansion) {
  VitStore store = {0};
  store.function = vit_store_wide;
  store.out = middle.data;
  store.out_stride = middle.stride;
  const VitRange n = {0, p->rank}, k = {0, p->down.in_features};
  vit_linear_rows(&p->down, a, n, k, expansion, &store);
  vit_pad_inputs(middle, p->rank);
}

void vit_project_up(const VitProjection* p, VitRows a, VitRange n, VitExpansion expansion,
                    const VitStore* store) {
  const VitRange k = {0, p->up.in_features};
  vit_linear_rows(&p->up, a, n, k, expansion, store);
}

void vit_project(const VitProjection* p, VitRows a, int16_t* middle, VitRange n,
                 VitExpansion expansion, const VitStore* store) {
  if (p->rank) {
    const VitRows low = {middle, vit_even(p->rank), a.rows};
    vit_project_down(p, a, low, expansion);
    a = low;
  }
  vit_project_up(p, a, n, expansion, store);
}

VitStore vit_residual_store(const VitResidual* residual, const void* x, void* y, int32_t features) {
  VitStore store = {0};
  store.function = residual->bits == 16 ? vit_store_residual_16_16 : vit_store_residual_8_8;
  store.in = x;
  store.in_stride = features;
  store.in_zero_point = residual->zero_point;
  store.in_multiplier = residual->multiplier;
  store.in_shift = residual->shift;
  store.out = y;
  store.out_stride = features;
  return store;
}
