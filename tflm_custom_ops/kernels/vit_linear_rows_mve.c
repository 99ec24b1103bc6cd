// SPDX-License-Identifier: Apache-2.0
// vit_linear_rows on cores with Helium: four rows of bytes at a time are multiplied with weights in
// rows (vit_gemm_mve.h), where they lie; what the product cannot read there is copied, into the
// memory that the DSP core expands weights in.
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
OFFSET(VitMveResidual, in, VIT_MVE_RESIDUAL_IN);
OFFSET(VitMveResidual, in_zero_point, VIT_MVE_RESIDUAL_ZERO);
OFFSET(VitMveColumns, out, VIT_MVE_REQUANT_OUT);
OFFSET(VitMveColumns, channels, VIT_MVE_REQUANT_QUADS);

#define STEP_INPUTS 16
// Channels whose sums are on the stack: of layers that are multiplied in one piece, or in parts,
// where what the parts add up to is there too.
#define WHOLE_CHANNELS 96
#define PART_CHANNELS 48
#define LEAST_INPUTS 64  // of four rows, where the expansion's memory holds fewer

// Four rows of a layer: inputs [k.begin, k.end) of it.
typedef struct {
  const VitLinearParams* p;
  int8_t* rows;    // all of them
  int32_t stride;  // bytes
  int32_t count;
  int32_t row;  // first of the four
  VitRange k;
  const VitStore* store;
  int8_t* copies;  // memory for four rows of `most` inputs; NULL: the rows are read as they are
  int32_t most;    // a multiple of 16
  VitWeightKernel kernel;
  int32_t in_pairs;  // 1: a row of the weights has two channels
} Group;

static int8_t* row_of(const Group* g, int32_t r) {
  return g->rows + (ptrdiff_t)(g->row + r) * g->stride;
}

static int32_t rows_of(const Group* g) { return vit_min32(VIT_MVE_ROWS, g->count - g->row); }

// Weights are read from an address that is a multiple of four on: so many inputs before the first.
static int32_t lead_of(const Group* g) { return g->k.begin & 3; }

static int32_t size_of(const Group* g, int32_t count) {
  return vit_round_up(lead_of(g) + count, STEP_INPUTS);
}

// The product of inputs [from, from + count) of the rows and the weights of some channels.
static VitMveGemm product_of(const Group* g, int32_t from, int32_t count, VitRange channels) {
  const int32_t stride = vit_mve_weight_stride(g->p->in_features);
  const int32_t size = size_of(g, count), rows = rows_of(g);
  const int8_t* weights = (const int8_t*)g->p->weights + g->k.begin + from - lead_of(g);
  VitMveGemm product;
  for (int32_t r = 0; r < VIT_MVE_ROWS; ++r) {
    const int32_t some = r < rows ? r : 0;
    product.rows[r] = g->copies ? g->copies + some * size : row_of(g, some) + from;
  }
  product.first = weights + (ptrdiff_t)(channels.begin >> g->in_pairs) * stride;
  product.last = weights + (ptrdiff_t)((channels.end - 2) >> g->in_pairs) * stride;
  product.stride = stride;
  product.steps = size / STEP_INPUTS;
  return product;
}

// Inputs [from, from + count) of the rows as the product reads them: zeros up to whole steps.
static void prepare(const Group* g, int32_t from, int32_t count) {
  const int32_t lead = lead_of(g), size = size_of(g, count), rows = rows_of(g);
  if (!g->copies && size == count) return;
  for (int32_t r = 0; r < rows; ++r) {
    int8_t* to = row_of(g, r) + from;
    if (g->copies) {
      to = g->copies + r * size;
      vstrbq_s8(to, vdupq_n_s8(0));
      vit_mve_copy(to + lead, row_of(g, r) + from, count);
    }
    vstrbq_p_s8(to + lead + count, vdupq_n_s8(0), vctp8q((uint32_t)(size - lead - count)));
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
    count = vit_min32(g->copies ? g->most - 4 : g->most, all - from);
    prepare(g, from, count);
    VitMveGemm product = product_of(g, from, count, channels);
    product.context = total;
    product.take = add_sums;
    g->kernel(&product);
  }
  vit_mve_store(total + 1, to);
}

static void run_group(const Group* g, VitRange n) {
  const int32_t all = g->k.end - g->k.begin;
  const int is_whole = size_of(g, all) <= g->most;
  const int32_t step = is_whole ? WHOLE_CHANNELS : PART_CHANNELS;
  if (is_whole) prepare(g, 0, all);
  for (int32_t c = n.begin & ~1; c < n.end; c += step) {
    const VitRange channels = {c, vit_min32(c + step, vit_even(n.end))};
    VitMveSums to = {g->store,   g->p, g->row,
                     rows_of(g), c,    {vit_max32(c, n.begin), vit_min32(channels.end, n.end)}};
    if (!is_whole) {
      run_parts(g, &to, channels);
      continue;
    }
    VitMveGemm product = product_of(g, 0, all, channels);
    product.context = &to;
    product.take = vit_mve_store;
    g->kernel(&product);
  }
}

static VitWeightKernel kernel_of(const VitLinearParams* p) {
  return p->layout ? p->layout : vit_mve_gemm;
}

static void run_groups(Group* group, VitRange n) {
  for (; group->row < group->count; group->row += VIT_MVE_ROWS) run_group(group, n);
}

void vit_linear_rows(const VitLinearParams* p, VitRows a, VitRange n, VitRange k,
                     VitExpansion expansion, const VitStore* store) {
  int32_t own[VIT_MVE_ROWS * LEAST_INPUTS / (int32_t)sizeof(int32_t)];
  Group group = {p,    vit_input_row(a, 0),         2 * a.stride, a.rows,           0, k, store,
                 NULL, VIT_MVE_STEPS * STEP_INPUTS, kernel_of(p), p->layout != NULL};
  if (lead_of(&group) || vit_round_up(k.end - k.begin, STEP_INPUTS) > group.stride) {
    const int32_t room =
        (expansion.inputs * VIT_EXPANSION_INPUT_BYTES + VIT_EXPANSION_AHEAD_BYTES) /
        vit_min32(VIT_MVE_ROWS, a.rows);
    group.copies = (int8_t*)expansion.words;
    group.most = vit_min32(group.most, room / STEP_INPUTS * STEP_INPUTS);
    if (group.most < LEAST_INPUTS) {
      group.copies = (int8_t*)own;
      group.most = LEAST_INPUTS;
    }
  }
  run_groups(&group, n);
}

void vit_mve_linear_int8(const VitLinearParams* p, const int8_t* x, int32_t rows,
                         const VitStore* store) {
  // Whole steps: nothing is written behind the inputs.
  Group group = {p,
                 (int8_t*)x,
                 p->in_features,
                 rows,
                 0,
                 {0, p->in_features},
                 store,
                 NULL,
                 VIT_MVE_STEPS * STEP_INPUTS,
                 kernel_of(p),
                 p->layout != NULL};
  run_groups(&group, (VitRange){0, p->out_features});
}

void vit_input_columns(const int8_t* in, int32_t in_stride, int32_t features, VitRows out) {
  for (int32_t r = 0; r < out.rows; ++r) {
    vit_mve_copy(vit_input_row(out, r), in + (ptrdiff_t)r * in_stride, features);
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
