// SPDX-License-Identifier: Apache-2.0
// vit_linear_rows on the DSP cores: activation rows are tiles (vit_gemm_dsp.h), weights are read
// four channels at a time, all rows inside. Layers that requantize to the whole int8 range without
// a shift finish inside the assembly; the others leave sums for vit_store_dsp.c.
#include "vit_linear_rows.h"

#if VIT_USE_DSP

#include "vit_gemm_dsp.h"
#include "vit_store_dsp.h"
#include "vit_widen_dsp.h"

#define SLICE_ROWS (VIT_DSP_MAX_GROUPS * VIT_ROW_GROUP)

// Rows of one call of the core, the first of which is row `first` of the store.
typedef struct {
  const VitStore* store;
  VitDspProduct product;
  VitRange n;
  int32_t first;
  int32_t rows;
} Slice;

// Where the in-line stores write, and in which steps.
typedef struct {
  VitDspStore kind;
  uint32_t parameter;
  uint32_t group_step;  // bytes
  uint32_t quad_step;   // bytes
  uint8_t* out;         // of channel n.begin
  int32_t groups;       // of two rows that exist
} Destination;

// Whether the layer requantizes as the assembly does: no shift, and the whole range from `low` on.
static int is_plain(const VitLinearParams* p, int32_t low) {
  return p->shift == 0 && p->out_min == low && p->out_max == 127;
}

// Whether the assembly has the slice's store. Whole groups of `group` channels, from an even column
// on.
static int destination_of(const Slice* s, int32_t group, Destination* d) {
  const VitStore* store = s->store;
  const VitLinearParams* p = s->product.linear;
  const VitStoreFunction f = store->function;
  const int32_t column = s->n.begin - store->first_channel;
  const uint32_t stride = (uint32_t)store->out_stride;
  uint8_t* out = (uint8_t*)store->out;
  if ((s->n.begin & (group - 1)) | (column & 1)) return 0;
  const int32_t groups = vit_dsp_groups(s->rows);
  if (f == vit_store_int8) {
    const int32_t whole = store->has_whole_groups ? groups : s->rows / VIT_ROW_GROUP;
    *d = (Destination){
        kVitDspInt8, stride, 2 * stride, 4, out + s->first * store->out_stride + column, whole};
  } else if (f == vit_store_value) {
    *d = (Destination){
        kVitDspTurned, stride, 2, 4 * stride, out + column * store->out_stride + s->first, groups};
  } else if (f == vit_store_wide || f == vit_store_lut) {
    const uint32_t table = store->lut ? (uint32_t)(uintptr_t)(store->lut + 128) : 0;
    *d = (Destination){store->lut ? kVitDspLut : kVitDspTile,
                       table,
                       stride * 4,
                       16,
                       out + (s->first * store->out_stride + column * VIT_ROW_GROUP) * 2,
                       groups};
  } else if (f == vit_store_key) {
    const int32_t row = store->first_row + s->first;
    if ((row | store->out_stride) & 1) return 0;
    *d = (Destination){
        kVitDspKeys, 0, stride * 2, 8, out + ((row >> 1) * store->out_stride + column) * 2, groups};
  } else {
    return 0;
  }
  return is_plain(p, d->kind == kVitDspKeys ? -127 : -128) && vit_dsp_is_whole(&s->product);
}

static void run_slice(const Slice* s) {
  VitDspColumns columns;
  Destination d = {0};
  const int32_t group = vit_weight_channels(s->product.linear);
  const int in_line = destination_of(s, group, &d);
  int32_t channel = s->n.begin & -group;
  vit_dsp_columns_begin(&columns, &s->product, channel);
  // Whole blocks of channels in line; the last ones, or all, by sums.
  if (in_line) {
    vit_dsp_columns_inline(&columns, d.kind, d.groups, d.parameter, d.group_step);
  } else {
    vit_dsp_columns_sums(&columns);
  }
  for (; channel < s->n.end; channel += VIT_DSP_CHANNELS, d.out += d.quad_step) {
    if (in_line && channel + VIT_DSP_CHANNELS > s->n.end) vit_dsp_columns_sums(&columns);
    vit_dsp_columns_next(&columns, d.out);
    if (columns.is_inline) continue;
    const VitDspColumn column = {s->store, s->product.linear, columns.sums,
                                 channel,  s->first,          s->rows};
    vit_dsp_store_quad(&column, s->n);
  }
}

void vit_linear_rows(const VitLinearParams* p, VitRows a, VitRange n, VitRange k,
                     VitExpansion expansion, const VitStore* store) {
  const int has_bias = store->function != vit_store_add;
  for (int32_t row = 0; row < a.rows; row += SLICE_ROWS) {
    const int32_t rows = vit_min32(SLICE_ROWS, a.rows - row);
    const Slice slice = {
        store,
        {p, a.data + row * a.stride, vit_dsp_groups(rows), k.begin, k.end, has_bias, expansion},
        n,
        row,
        rows};
    run_slice(&slice);
  }
}

void vit_widen_columns(const int8_t* in, int32_t in_stride, int32_t features, int32_t zero_point,
                       VitRows out) {
  const uint32_t zero_points = (uint32_t)(zero_point & 0xFFFF) * 0x10001u;
  for (int32_t row = 0; row < out.rows; row += VIT_ROW_GROUP, in += VIT_ROW_GROUP * in_stride) {
    const int32_t rows = vit_min32(VIT_ROW_GROUP, out.rows - row);
    const int32_t i = features & ~3;
    // A row by itself is widened twice; the group has memory for both.
    vit_dsp_widen_group(in, rows == VIT_ROW_GROUP ? in_stride : 0, zero_points,
                        vit_wide_row(out, row), features / 4);
    for (int32_t r = 0; r < rows; ++r) {
      int16_t* to_row = vit_wide_row(out, row + r);
      for (int32_t k = i; k < features; ++k) {
        to_row[vit_wide_at(k)] = (int16_t)(in[r * in_stride + k] - zero_point);
      }
    }
  }
}

#endif  // VIT_USE_DSP
