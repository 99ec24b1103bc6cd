// SPDX-License-Identifier: Apache-2.0
// vit_linear_rows on cores with Helium: four rows at a time are narrowed to int8, in the memory
// that the DSP core expands weights in, and multiplied with weights in rows (vit_gemm_mve.h).
#include "vit_linear_rows.h"

#if VIT_USE_MVE

#include "vit_gemm_mve.h"
#include "vit_store_mve.h"

#define OFFSET(type, field, offset) \
  _Static_assert(offsetof(type, field) == (offset), "layout of " #field)
OFFSET(VitMveGemm, last, VIT_MVE_GEMM_LAST);
OFFSET(VitMveGemm, stride, VIT_MVE_GEMM_STRIDE);
OFFSET(VitMveGemm, steps, VIT_MVE_GEMM_STEPS);
OFFSET(VitMveGemm, context, VIT_MVE_GEMM_CONTEXT);
OFFSET(VitMveRequant, shift, VIT_MVE_REQUANT_SHIFT);
OFFSET(VitMveRequant, low, VIT_MVE_REQUANT_LOW);
OFFSET(VitMveRequant, out, VIT_MVE_REQUANT_OUT);
OFFSET(VitMveRequant, quads, VIT_MVE_REQUANT_QUADS);

#define STEP_INPUTS 16
// Channels whose sums are on the stack: of layers that are multiplied in one piece, or in parts,
// where what the parts add up to is there too.
#define WHOLE_CHANNELS 96
#define PART_CHANNELS 48
#define LEAST_INPUTS 64  // of four rows, where the expansion's memory holds fewer

// Four rows of a layer: inputs [begin, end) of it, which `a` holds.
typedef struct {
  const VitLinearParams* p;
  VitRows a;
  int32_t row;  // first
  VitRange k;
  const VitStore* store;
  int8_t* narrow;  // memory for four rows of `most` inputs, a multiple of 16; the rows themselves
                   // where a.data is NULL
  int32_t most;
} Group;

// Elements [from, from + count) of a row after `lead` zeros, and zeros up to `size`.
static void narrow_row(const int16_t* from, int32_t lead, int32_t count, int32_t size, int8_t* to) {
  const int8_t* end = to + size;
  for (int32_t i = 0; i < lead; ++i) *to++ = 0;
  for (; count >= 32; count -= 32, from += 32, to += 32) {
    vstrbq_s16(to, vldrhq_s16(from));
    vstrbq_s16(to + 8, vldrhq_s16(from + 8));
    vstrbq_s16(to + 16, vldrhq_s16(from + 16));
    vstrbq_s16(to + 24, vldrhq_s16(from + 24));
  }
  for (; count >= 8; count -= 8, from += 8, to += 8) vstrbq_s16(to, vldrhq_s16(from));
  for (; count > 0; --count) *to++ = (int8_t)*from++;
  while (to < end) *to++ = 0;
}

// The product of inputs [from, from + count) of the rows and the weights of some channels.
static VitMveGemm product_of(const Group* g, int32_t from, int32_t count, VitRange channels) {
  // Weights are read from an address that is a multiple of four on.
  const int32_t lead = (g->k.begin + from) & 3, stride = vit_mve_weight_stride(g->p->in_features);
  const int32_t size = vit_round_up(lead + count, STEP_INPUTS);
  const int8_t* weights = (const int8_t*)g->p->weights + g->k.begin + from - lead;
  VitMveGemm product;
  for (int32_t r = 0; r < VIT_MVE_ROWS; ++r) {
    product.rows[r] = g->narrow + (g->row + r < g->a.rows ? r : 0) * size;
  }
  product.first = weights + (ptrdiff_t)channels.begin * stride;
  product.last = weights + (ptrdiff_t)(channels.end - 2) * stride;
  product.stride = stride;
  product.steps = size / STEP_INPUTS;
  return product;
}

static void narrow_rows(const Group* g, int32_t from, int32_t count) {
  const int32_t lead = (g->k.begin + from) & 3, size = vit_round_up(lead + count, STEP_INPUTS);
  const int16_t* rows = g->a.data + g->row * g->a.stride + from;
  for (int32_t r = 0; r < VIT_MVE_ROWS && g->row + r < g->a.rows; ++r) {
    narrow_row(rows + r * g->a.stride, lead, count, size, g->narrow + r * size);
  }
}

static void add_sums(int32_t* sums, void* context) {
  int32_t* total = (int32_t*)context;
  const int32_t count = *total++;
  for (int32_t i = 0; i < count; i += 4) {
    vstrwq_s32(total + i, vaddq_s32(vldrwq_s32(total + i), vldrwq_s32(sums + i)));
  }
}

// Channels [begin, end) of a layer whose inputs are multiplied in parts.
static __attribute__((noinline)) void run_parts(const Group* g, VitMveSums* to, VitRange channels) {
  int32_t total[1 + PART_CHANNELS * VIT_MVE_ROWS] = {0};
  const int32_t all = g->k.end - g->k.begin;
  total[0] = (channels.end - channels.begin) * VIT_MVE_ROWS;
  for (int32_t from = 0, count; from < all; from += count) {
    count = vit_min32(g->most - 4, all - from);
    narrow_rows(g, from, count);
    VitMveGemm product = product_of(g, from, count, channels);
    product.context = total;
    product.take = add_sums;
    vit_mve_gemm(&product);
  }
  vit_mve_store(total + 1, to);
}

static void run_group(const Group* g, VitRange n) {
  const int32_t all = g->k.end - g->k.begin, lead = g->k.begin & 3;
  const int is_whole = vit_round_up(lead + all, STEP_INPUTS) <= g->most;
  const int32_t step = is_whole ? WHOLE_CHANNELS : PART_CHANNELS;
  if (is_whole && g->a.data) narrow_rows(g, 0, all);
  for (int32_t c = n.begin & ~1; c < n.end; c += step) {
    const VitRange channels = {c, vit_min32(c + step, vit_even(n.end))};
    VitMveSums to = {g->store, g->p,
                     g->row,   vit_min32(VIT_MVE_ROWS, g->a.rows - g->row),
                     c,        {vit_max32(c, n.begin), vit_min32(channels.end, n.end)}};
    if (!is_whole) {
      run_parts(g, &to, channels);
      continue;
    }
    VitMveGemm product = product_of(g, 0, all, channels);
    product.context = &to;
    product.take = vit_mve_store;
    vit_mve_gemm(&product);
  }
}

void vit_linear_rows(const VitLinearParams* p, VitRows a, VitRange n, VitRange k,
                     VitExpansion expansion, const VitStore* store) {
  int32_t own[VIT_MVE_ROWS * LEAST_INPUTS / (int32_t)sizeof(int32_t)];
  const int32_t room = (expansion.inputs * VIT_EXPANSION_INPUT_BYTES + VIT_EXPANSION_AHEAD_BYTES) /
                       vit_min32(VIT_MVE_ROWS, a.rows);
  Group group = {p, a, 0, k, store, (int8_t*)expansion.words, room / STEP_INPUTS * STEP_INPUTS};
  if (group.most < LEAST_INPUTS) {
    group.narrow = (int8_t*)own;
    group.most = LEAST_INPUTS;
  }
  group.most = vit_min32(group.most, VIT_MVE_STEPS * STEP_INPUTS);
  for (; group.row < a.rows; group.row += VIT_MVE_ROWS) run_group(&group, n);
}

const int8_t* vit_mve_narrow(VitRows rows, int32_t features) {
  int8_t* to = (int8_t*)rows.data;
  for (int32_t r = 0; r < rows.rows; ++r) {
    narrow_row(rows.data + r * rows.stride, 0, features, features, to + r * features);
  }
  return to;
}

void vit_mve_linear_int8(const VitLinearParams* p, const int8_t* x, int32_t rows,
                         const VitStore* store) {
  const VitRows a = {NULL, 0, rows};
  Group group = {p, a, 0, {0, p->in_features}, store, (int8_t*)x, p->in_features};
  for (; group.row < rows; group.row += VIT_MVE_ROWS, group.narrow += VIT_MVE_ROWS * group.most) {
    run_group(&group, (VitRange){0, p->out_features});
  }
}

void vit_widen_columns(const int8_t* in, int32_t in_stride, int32_t features, int32_t zero_point,
                       VitRows out) {
  for (int32_t r = 0; r < out.rows; ++r, in += in_stride) {
    const int8_t* from = in;
    int16_t* to = out.data + r * out.stride;
    int32_t left = features;
    for (; left >= 8; left -= 8, from += 8, to += 8) {
      vstrhq_s16(to, vsubq_n_s16(vldrbq_s16(from), (int16_t)zero_point));
    }
    for (; left > 0; --left) *to++ = (int16_t)(*from++ - zero_point);
  }
}

#endif  // VIT_USE_MVE
