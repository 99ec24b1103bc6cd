// SPDX-License-Identifier: Apache-2.0
#include "vit_gemm.h"
#include "vit_kernels.h"
#include "vit_layout.h"
#include "vit_math.h"
#include "vit_norm.h"

// Scratch of one tile of tokens: byte offsets, multiples of 16.
//   inputs:        { rows of LayerNorm or x, low-rank rows of fc1 }, later { low-rank rows of fc2,
//                  expansion of fc2, all that is left }
//   hidden:        hidden_tile hidden units, wide rows
//   fc1_expansion: and fc2's where hidden_tile < hidden_dim, since the inputs stay then
//   partial:       int32 sums of fc2 over the hidden units so far, where hidden_tile < hidden_dim
typedef struct {
  int32_t tile;
  int32_t hidden_stride;
  int32_t partial_stride;
  size_t rows;
  size_t fc1_middle;
  size_t fc1_expansion;
  size_t fc2_middle;
  size_t fc2_expansion;
  size_t hidden;
  size_t partial;
  size_t bytes;
} Plan;

static int32_t is_split(const VitMlpParams* p) { return p->hidden_tile < p->hidden_dim; }

// The layer of fc2 that reads the hidden units.
static const VitLinearParams* hidden_reader(const VitMlpParams* p) {
  return p->fc2.rank ? &p->fc2.down : &p->fc2.up;
}

static Plan plan_of(const VitMlpParams* p) {
  Plan plan = {0};
  plan.tile = vit_tile_rows(vit_min32(p->token_tile, p->tokens));
  plan.hidden_stride = vit_even(vit_min32(p->hidden_tile, p->hidden_dim));
  plan.partial_stride = hidden_reader(p)->out_features;
  const int32_t rows = vit_row_capacity(plan.tile);
  plan.fc1_middle = vit_area(rows, vit_even(p->embed_dim), sizeof(int16_t));
  const size_t fc1_end = plan.fc1_middle + vit_area(rows, vit_even(p->fc1.rank), sizeof(int16_t));
  const size_t fc2_end = vit_area(rows, vit_even(p->fc2.rank), sizeof(int16_t));
  const size_t fc1_bytes = vit_expansion_bytes(vit_projection_inputs(&p->fc1), p->expanded_inputs);
  const size_t fc2_bytes = vit_expansion_bytes(vit_projection_inputs(&p->fc2), p->expanded_inputs);
  const size_t hidden_bytes = vit_area(rows, plan.hidden_stride, sizeof(int16_t));
  plan.hidden = vit_max_size(fc1_end, is_split(p) ? fc2_end : fc2_end + fc2_bytes);
  plan.fc1_expansion = plan.hidden + hidden_bytes;
  plan.fc2_expansion = is_split(p) ? plan.fc1_expansion : fc2_end;
  plan.partial =
      plan.fc1_expansion + (is_split(p) ? vit_max_size(fc1_bytes, fc2_bytes) : fc1_bytes);
  plan.bytes = plan.partial;
  if (is_split(p)) plan.bytes += vit_area(plan.tile, plan.partial_stride, sizeof(int32_t));
  return plan;
}

// The memory for the weights of fc1's layers.
static VitExpansion fc1_expansion(const Plan* plan, uint8_t* scratch) {
  return vit_expansion(scratch + plan->fc1_expansion, plan->partial - plan->fc1_expansion);
}

// The same of fc2: up to the hidden units, where it lies before them.
static VitExpansion fc2_expansion(const Plan* plan, uint8_t* scratch) {
  const size_t begin = plan->fc2_expansion;
  const size_t end = begin < plan->hidden ? plan->hidden : plan->partial;
  return vit_expansion(scratch + begin, end - begin);
}

// Hidden units [n.begin, n.end) after the activation function, as wide rows.
static VitRows hidden_units(const VitMlpParams* p, const Plan* plan, VitRows inputs, VitRange n,
                            uint8_t* scratch) {
  const VitRows hidden = {(int16_t*)(scratch + plan->hidden), vit_even(n.end - n.begin),
                          inputs.rows};
  VitStore store = {0};
  store.function = vit_store_lut;
  store.lut = p->lut;
  store.out = hidden.data;
  store.out_stride = hidden.stride;
  store.first_channel = n.begin;
  vit_project_up(&p->fc1, inputs, n, fc1_expansion(plan, scratch), &store);
  vit_pad_inputs(hidden, n.end - n.begin);
  return hidden;
}

// Requantizes the finished partial sums with `store`, as vit_linear_rows does with its own.
static void store_partial(const VitLinearParams* p, const int32_t* partial, int32_t rows,
                          const VitStore* store) {
  VitSums sums = {0};
  sums.count = p->out_features;
  sums.acc_stride = p->out_features;
  for (int32_t row = 0; row < rows; row += VIT_ROW_GROUP) {
    sums.row = row;
    sums.rows = vit_min32(VIT_ROW_GROUP, rows - row);
    sums.acc = partial + row * p->out_features;
    store->function(store, p, &sums);
  }
}

// fc2 with only a part of the hidden units at a time.
static void split_tile(const VitMlpParams* p, const Plan* plan, VitRows inputs,
                       const VitStore* residual, uint8_t* scratch) {
  const VitLinearParams* reader = hidden_reader(p);
  const VitExpansion expansion = fc2_expansion(plan, scratch);
  int32_t* partial = (int32_t*)(scratch + plan->partial);
  VitStore add = {0};
  add.function = vit_store_add;
  add.out = partial;
  add.out_stride = plan->partial_stride;
  for (int32_t i = 0; i < inputs.rows * plan->partial_stride; ++i) partial[i] = 0;
  for (int32_t h = 0; h < p->hidden_dim; h += p->hidden_tile) {
    const VitRange part = {h, vit_min32(h + p->hidden_tile, p->hidden_dim)};
    const VitRows hidden = hidden_units(p, plan, inputs, part, scratch);
    vit_linear_rows(reader, hidden, (VitRange){0, reader->out_features}, part, expansion, &add);
  }
  if (!p->fc2.rank) {
    store_partial(reader, partial, inputs.rows, residual);
    return;
  }
  const VitRows middle = {(int16_t*)(scratch + plan->fc2_middle), vit_even(p->fc2.rank),
                          inputs.rows};
  VitStore wide = {0};
  wide.function = vit_store_wide;
  wide.out = middle.data;
  wide.out_stride = middle.stride;
  store_partial(reader, partial, inputs.rows, &wide);
  vit_pad_inputs(middle, p->fc2.rank);
  vit_project_up(&p->fc2, middle, (VitRange){0, p->embed_dim}, expansion, residual);
}

static void mlp_tile(const VitMlpParams* p, const Plan* plan, const void* x, void* y, int32_t count,
                     uint8_t* scratch) {
  VitRows inputs = {(int16_t*)(scratch + plan->rows), vit_even(p->embed_dim), count};
  if (p->norm_place == kVitNormPlaceAbsent) {
    vit_input_rows((const int8_t*)x, p->embed_dim, p->embed_dim, inputs);
  } else {
    vit_norm_rows(&p->norm, x, &p->residual, inputs);
  }
  if (p->fc1.rank) {
    const VitRows middle = {(int16_t*)(scratch + plan->fc1_middle), vit_even(p->fc1.rank), count};
    vit_project_down(&p->fc1, inputs, middle, fc1_expansion(plan, scratch));
    inputs = middle;
  }
  const VitStore residual = vit_residual_store(&p->residual, x, y, p->embed_dim);
  if (is_split(p)) {
    split_tile(p, plan, inputs, &residual, scratch);
    return;
  }
  const VitRange all = {0, p->hidden_dim};
  const VitRows hidden = hidden_units(p, plan, inputs, all, scratch);
  vit_project(&p->fc2, hidden, (int16_t*)(scratch + plan->fc2_middle), (VitRange){0, p->embed_dim},
              fc2_expansion(plan, scratch), &residual);
}

size_t vit_mlp_scratch_bytes(const VitMlpParams* params) { return plan_of(params).bytes; }

void vit_mlp(const VitMlpParams* params, const void* x, void* y, void* scratch) {
  const Plan plan = plan_of(params);
  const int32_t bits = params->residual.bits, features = params->embed_dim;
  for (int32_t token = 0; token < params->tokens; token += plan.tile) {
    mlp_tile(params, &plan, vit_stream_row(x, bits, token, features),
             (void*)vit_stream_row(y, bits, token, features),
             vit_min32(plan.tile, params->tokens - token), (uint8_t*)scratch);
  }
}
