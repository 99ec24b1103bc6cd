// SPDX-License-Identifier: Apache-2.0
// vit_linear_rows on the DSP cores: activation rows are tiles (vit_gemm_dsp.h), weights are read
// one pair of channels at a time, all rows inside. Layers that requantize to the whole int8 range
// without a shift finish inside the assembly; the others leave sums for vit_store_dsp.c.
#include "vit_linear_rows.h"

#if VIT_USE_DSP

#include "vit_gemm_dsp.h"
#include "vit_store_dsp.h"
#include "vit_widen_dsp.h"

#define SLICE_ROWS (VIT_DSP_MAX_GROUPS * VIT_DSP_GROUP)

// Rows of one call of the cores, and the channels.
typedef struct {
  const VitLinearParams* p;
  const VitStore* store;
  const int16_t* tile;
  VitRange n;
  VitRange k;
  int32_t first;
  int32_t rows;
} Slice;

// Channels `n` of the slice, by sums.
static void slice_sums(const Slice* s, VitRange n) {
  VitDspColumns columns;
  int32_t sums[2 * SLICE_ROWS];
  vit_dsp_columns_begin(&columns, s->p, n.begin / 2, s->k.begin, s->k.end, s->tile,
                        vit_dsp_groups(s->rows), kVitDspSums);
  if (s->store->function == vit_store_add) vit_dsp_columns_without_bias(&columns);
  for (int32_t pair = n.begin / 2; 2 * pair < n.end; ++pair) {
    vit_dsp_columns_next(&columns, sums);
    const VitDspColumn column = {s->store, s->p, sums, 2 * pair, s->first, s->rows};
    vit_dsp_store_pair(&column, n);
  }
}

// Where the in-line stores write, and in which steps.
typedef struct {
  VitDspStore kind;
  uint32_t parameter;
  uint32_t group_step;  // bytes
  uint32_t pair_step;   // bytes
  uint8_t* out;         // of channel n.begin
} Destination;

// Whether the assembly has the slice's store, for whole pairs and whole groups (given that
// vit_dsp_can_inline).
static int destination_of(const Slice* s, Destination* d) {
  const VitStore* store = s->store;
  const VitStoreFunction f = store->function;
  const int32_t column = s->n.begin - store->first_channel;
  uint8_t* out = (uint8_t*)store->out;
  if ((s->n.begin | column) & 1) return 0;
  if (f == vit_store_int8) {
    const uint32_t stride = (uint32_t)store->out_stride;
    *d = (Destination){kVitDspInt8, stride, 3 * stride, 2,
                       out + s->first * store->out_stride + column};
    return 1;
  }
  if (f == vit_store_value) {
    const uint32_t stride = (uint32_t)store->out_stride;
    *d = (Destination){kVitDspTurned, stride, 3, 2 * stride,
                       out + column * store->out_stride + s->first};
    return 1;
  }
  if (f == vit_store_wide || f == vit_store_lut) {
    d->kind = f == vit_store_lut ? kVitDspLut : kVitDspTile;
    d->parameter = store->lut ? (uint32_t)(uintptr_t)(store->lut + 128) : 0;
    d->group_step = (uint32_t)store->out_stride * 6;
    d->pair_step = 12;
    d->out = out + (s->first * store->out_stride + column * VIT_DSP_GROUP) * 2;
    return 1;
  }
  return 0;
}

// Whole pairs, [n.begin, end), and whole groups in line.
static void slice_inline(const Slice* s, const Destination* d, int32_t groups, int32_t end) {
  VitDspColumns columns;
  vit_dsp_columns_begin(&columns, s->p, s->n.begin / 2, s->k.begin, s->k.end, s->tile, groups,
                        d->kind);
  vit_dsp_columns_inline(&columns, d->parameter, d->group_step);
  uint8_t* out = d->out;
  for (int32_t channel = s->n.begin; channel < end; channel += 2, out += d->pair_step) {
    vit_dsp_columns_next(&columns, out);
  }
}

static void run_slice(const Slice* s) {
  Destination d;
  if (!destination_of(s, &d)) {
    slice_sums(s, s->n);
    return;
  }
  // Tiles have memory for whole groups; rows and columns of bytes do not.
  const int tile = d.kind == kVitDspTile || d.kind == kVitDspLut;
  const int32_t groups = tile ? vit_dsp_groups(s->rows) : s->rows / VIT_DSP_GROUP;
  const int32_t end = s->n.end - (s->n.end & 1);
  if (groups == 0 || end <= s->n.begin || !vit_dsp_can_inline(s->p, s->k.begin, s->k.end, groups)) {
    slice_sums(s, s->n);
    return;
  }
  slice_inline(s, &d, groups, end);
  if (end < s->n.end) slice_sums(s, (VitRange){end, s->n.end});
  const int32_t done = groups * VIT_DSP_GROUP;
  if (done < s->rows) {
    Slice rest = *s;
    rest.tile += done * vit_even(s->k.end - s->k.begin);
    rest.first += done;
    rest.rows -= done;
    slice_sums(&rest, (VitRange){s->n.begin, end});
  }
}

void vit_linear_rows(const VitLinearParams* p, VitRows a, VitRange n, VitRange k,
                     const VitStore* store) {
  for (int32_t row = 0; row < a.rows; row += SLICE_ROWS) {
    const Slice slice = {
        p, store, a.data + row * a.stride, n, k, row, vit_min32(SLICE_ROWS, a.rows - row)};
    run_slice(&slice);
  }
}

void vit_widen_rows(const int8_t* in, int32_t in_stride, int32_t features, int32_t zero_point,
                    VitRows out) {
  const uint32_t zero_points = (uint32_t)(zero_point & 0xFFFF) * 0x10001u;
  for (int32_t row = 0; row < out.rows; row += VIT_DSP_GROUP, in += VIT_DSP_GROUP * in_stride) {
    const int32_t rows = vit_min32(VIT_DSP_GROUP, out.rows - row);
    int32_t i = 0;
    if (rows == VIT_DSP_GROUP) {
      i = features & ~3;
      vit_dsp_widen_group(in, in_stride, zero_points, vit_wide_row(out, row), features / 4);
    }
    for (int32_t r = 0; r < rows; ++r) {
      int16_t* to_row = vit_wide_row(out, row + r);
      for (int32_t k = i; k < features; ++k) {
        to_row[vit_wide_at(k)] = (int16_t)(in[r * in_stride + k] - zero_point);
      }
    }
  }
  vit_pad_rows(out, features);
}

#endif  // VIT_USE_DSP
