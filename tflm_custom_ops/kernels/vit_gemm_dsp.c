// SPDX-License-Identifier: Apache-2.0
// Fills the jobs of the assembly cores and finishes what they leave in sums.
#include "vit_gemm_dsp.h"

#if VIT_DSP_ASM

#include <stddef.h>
#include <string.h>

#define AT(field, offset) \
  _Static_assert(offsetof(VitDspJob, field) == (offset), "layout of " #field)
AT(bias1, VIT_DSP_JOB_BIAS1);
AT(multipliers, VIT_DSP_JOB_MULTIPLIERS);
AT(out, VIT_DSP_JOB_OUT);
AT(running, VIT_DSP_JOB_RUNNING);
AT(running_end, VIT_DSP_JOB_RUNNING_END);
AT(chunk_end, VIT_DSP_JOB_CHUNK_END);
AT(tail, VIT_DSP_JOB_TAIL);
AT(more.blocked.blocks, VIT_DSP_JOB_BLOCKS);
AT(more.blocked.block_bytes, VIT_DSP_JOB_BLOCK_BYTES);
AT(more.blocked.block_entry, VIT_DSP_JOB_BLOCK_ENTRY);
AT(more.blocked.block_tail, VIT_DSP_JOB_BLOCK_TAIL);
AT(more.blocked.block_chunk_end, VIT_DSP_JOB_BLOCK_CHUNK_END);
AT(more.blocked.last_entry, VIT_DSP_JOB_LAST_ENTRY);
AT(more.blocked.last_tail, VIT_DSP_JOB_LAST_TAIL);
AT(more.blocked.last_chunk_end, VIT_DSP_JOB_LAST_CHUNK_END);
AT(more.resumed.partial, VIT_DSP_JOB_PARTIAL);
AT(more.resumed.group_bytes, VIT_DSP_JOB_GROUP_BYTES);
AT(more.resumed.entry, VIT_DSP_JOB_RESUMED_ENTRY);
_Static_assert(sizeof(VitDspJob) == VIT_DSP_JOB_WORDS * 4, "layout of VitDspJob");

extern const VitDspColumnsLabels vit_dsp_columns_labels;
extern const VitDspRowsLabels vit_dsp_rows_labels;
extern const VitDspWideLabels vit_dsp_wide_labels;
void vit_dsp_gemm_columns(const VitDspJob* job);
void vit_dsp_gemm_rows(const VitDspJob* job);
void vit_dsp_gemm_wide(const VitDspJob* job);
void vit_dsp_expand(const int16_t* packed, uint32_t* out, int32_t words);

#define STEP_INPUTS 6
#define PACKED_STEP_BYTES 12  // of packed weights
#define WIDE_STEP_BYTES 24    // of expanded weights
#define ROWS_STEP_BYTES 36    // of the activations of a group

// How a number of inputs runs through a core: whole steps, where a block enters, what follows.
typedef struct {
  uint32_t steps;
  uint32_t entry;
  uint32_t tail;
} Path;

static Path path_of(int32_t inputs, int32_t step_code_bytes, uint32_t loop_end,
                    const uint32_t* tails) {
  const int32_t steps = inputs / STEP_INPUTS;
  const int32_t first = steps % VIT_DSP_CHUNK_STEPS;
  Path path;
  path.steps = (uint32_t)steps;
  path.tail = tails[(inputs - steps * STEP_INPUTS) / 2];
  path.entry = steps == 0
                   ? path.tail
                   : loop_end - (uint32_t)((first ? first : VIT_DSP_CHUNK_STEPS) * step_code_bytes);
  return path;
}

static uint32_t address(const void* pointer) { return (uint32_t)(uintptr_t)pointer; }

static void set_init(VitDspJob* job, int32_t even, int32_t odd) {
  for (int i = 0; i < 6; i += 2) {
    job->init[i] = (uint32_t)even;
    job->init[i + 1] = (uint32_t)odd;
  }
}

// A block of packed sums that starts inside a k_block is exact if it is at most this long.
#define ALWAYS_EXACT_BLOCK 512

static int32_t block_inputs(const VitLinearParams* linear, int32_t k_begin) {
  const int aligned = k_begin % linear->k_block == 0;
  return aligned || linear->k_block < ALWAYS_EXACT_BLOCK ? linear->k_block : ALWAYS_EXACT_BLOCK;
}

static int is_wide(int32_t groups) { return groups >= VIT_DSP_EXPAND_GROUPS; }

int vit_dsp_can_inline(const VitLinearParams* linear, int32_t k_begin, int32_t k_end,
                       int32_t groups) {
  const int exact = is_wide(groups) || block_inputs(linear, k_begin) >= k_end - k_begin;
  return exact && linear->shift == 0 && linear->out_min == -128 && linear->out_max == 127;
}

static void begin_packed(VitDspColumns* columns, int32_t block, VitDspStore store) {
  const VitDspColumnsLabels* labels = &vit_dsp_columns_labels;
  const uint32_t loop_end = labels->stores.chunk_end;
  const int32_t k = columns->inputs;
  VitDspJob* job = &columns->job;
  columns->chunk_bytes = columns->block_chunk_bytes = columns->last_chunk_bytes = 0;
  if (block >= k) {
    const Path path = path_of(k, VIT_DSP_STEP_BYTES, loop_end, labels->stores.tails[store]);
    columns->chunk_bytes = path.steps * PACKED_STEP_BYTES;
    job->entry = path.entry;
    job->tail = path.tail;
    return;
  }
  const int32_t blocks = (k + block - 1) / block;
  const Path each = path_of(block, VIT_DSP_STEP_BYTES, loop_end, labels->blocked_tails);
  const Path last =
      path_of(k - (blocks - 1) * block, VIT_DSP_STEP_BYTES, loop_end, labels->blocked_tails);
  job->entry = labels->blocked_entry;
  job->more.blocked.blocks = (uint32_t)blocks;
  job->more.blocked.block_bytes = (uint32_t)block * 2;
  job->more.blocked.block_entry = each.entry;
  job->more.blocked.block_tail = each.tail;
  job->more.blocked.last_entry = last.entry;
  job->more.blocked.last_tail = last.tail;
  columns->block_chunk_bytes = each.steps * PACKED_STEP_BYTES;
  columns->last_chunk_bytes =
      (uint32_t)(blocks - 1) * (uint32_t)block * 2 + last.steps * PACKED_STEP_BYTES;
}

// Parts of about equal size, each a multiple of the unrolled step.
static void begin_wide(VitDspColumns* columns, VitDspStore store) {
  const VitDspStoreLabels* labels = &vit_dsp_wide_labels.stores;
  const int32_t k = columns->inputs;
  const int32_t parts = (k + VIT_DSP_EXPAND_INPUTS - 1) / VIT_DSP_EXPAND_INPUTS;
  const int32_t steps = (k + parts * STEP_INPUTS - 1) / (parts * STEP_INPUTS);
  const int32_t part = parts == 1 ? k : steps * STEP_INPUTS;
  const Path each =
      path_of(part, VIT_DSP_WIDE_STEP_BYTES, labels->chunk_end, labels->tails[kVitDspSums]);
  const Path last = path_of(k - (k - 1) / part * part, VIT_DSP_WIDE_STEP_BYTES, labels->chunk_end,
                            labels->tails[store]);
  columns->part_inputs = part;
  columns->part_entry = each.entry;
  columns->part_tail = each.tail;
  columns->part_steps = each.steps;
  columns->last_entry = last.entry;
  columns->last_tail = last.tail;
  columns->last_steps = last.steps;
}

static void run_packed(VitDspColumns* columns, const int16_t* weights, int32_t bias0,
                       int32_t bias1) {
  VitDspJob* job = &columns->job;
  set_init(job, bias0, bias0);
  job->bias1 = (uint32_t)bias1;
  job->reload = address(weights);
  job->chunk_end = job->reload + columns->chunk_bytes;
  if (columns->last_chunk_bytes) {
    job->more.blocked.block_chunk_end = job->reload + columns->block_chunk_bytes;
    job->more.blocked.last_chunk_end = job->reload + columns->last_chunk_bytes;
  }
  vit_dsp_gemm_columns(job);
}

// Inputs from `from` on, a part of all; `out` is where the last part goes.
static void run_part(VitDspColumns* columns, const int16_t* weights, int32_t from, uint32_t out) {
  VitDspJob* job = &columns->job;
  const int32_t rest = columns->inputs - from;
  const int is_last = rest <= columns->part_inputs;
  const int32_t inputs = is_last ? rest : columns->part_inputs;
  vit_dsp_expand(weights + from, columns->expanded, inputs / 2);
  job->entry = vit_dsp_wide_labels.resumed_entry;
  job->more.resumed.partial = address(columns->partial);
  job->more.resumed.group_bytes = (uint32_t)columns->inputs * (VIT_DSP_GROUP * 2);
  job->more.resumed.entry = is_last ? columns->last_entry : columns->part_entry;
  job->tail = is_last ? columns->last_tail : columns->part_tail;
  job->chunk_end =
      job->reload + WIDE_STEP_BYTES * (is_last ? columns->last_steps : columns->part_steps);
  job->running = columns->tile + (uint32_t)from * (VIT_DSP_GROUP * 2);
  job->running_end = job->running +
                     (uint32_t)(columns->groups - 1) * job->more.resumed.group_bytes +
                     (uint32_t)inputs * (VIT_DSP_GROUP * 2);
  job->out = is_last ? out : job->more.resumed.partial;
  vit_dsp_gemm_wide(job);
}

static void run_wide(VitDspColumns* columns, const int16_t* weights, int32_t bias0, int32_t bias1) {
  VitDspJob* job = &columns->job;
  const uint32_t out = job->out;
  job->reload = address(columns->expanded);
  if (columns->part_inputs >= columns->inputs) {
    set_init(job, bias0, bias1);
    vit_dsp_expand(weights, columns->expanded, columns->inputs / 2);
    job->entry = columns->last_entry;
    job->tail = columns->last_tail;
    job->chunk_end = job->reload + WIDE_STEP_BYTES * columns->last_steps;
    vit_dsp_gemm_wide(job);
    return;
  }
  int32_t* partial = columns->partial;
  for (int32_t i = 0; i < columns->groups * VIT_DSP_GROUP; ++i) {
    partial[2 * i] = bias0;
    partial[2 * i + 1] = bias1;
  }
  for (int32_t from = 0; from < columns->inputs; from += columns->part_inputs) {
    run_part(columns, weights, from, out);
  }
}

void vit_dsp_columns_begin(VitDspColumns* columns, const VitLinearParams* linear, int32_t pair,
                           int32_t k_begin, int32_t k_end, const int16_t* tile, int32_t groups,
                           VitDspStore store) {
  VitDspJob* job = &columns->job;
  columns->linear = linear;
  columns->weights_step = vit_dsp_k_even(linear->in_features);
  columns->weights = linear->weights + (ptrdiff_t)pair * columns->weights_step + k_begin;
  columns->multiplier = linear->multiplier + 2 * pair;
  columns->bias = linear->bias + 2 * pair;
  columns->bias_step = 2;
  columns->channels = linear->out_features - 2 * pair;
  columns->inputs = vit_dsp_k_even(k_end - k_begin);
  columns->groups = groups;
  columns->tile = address(tile);
  job->running = columns->tile;
  job->running_end =
      job->running + (uint32_t)groups * (uint32_t)columns->inputs * (VIT_DSP_GROUP * 2);
  columns->run = is_wide(groups) ? run_wide : run_packed;
  if (is_wide(groups)) {
    begin_wide(columns, store);
  } else {
    begin_packed(columns, block_inputs(linear, k_begin), store);
  }
}

void vit_dsp_columns_without_bias(VitDspColumns* columns) {
  static const int32_t zeros[2] = {0, 0};
  columns->bias = zeros;
  columns->bias_step = 0;
}

void vit_dsp_columns_inline(VitDspColumns* columns, uint32_t parameter, uint32_t out_step) {
  VitDspJob* job = &columns->job;
  job->zero_point = (uint32_t)columns->linear->out_zero_point;
  job->parameter = parameter;
  job->out_step = out_step;
}

void vit_dsp_columns_next(VitDspColumns* columns, void* out) {
  const int16_t* weights = columns->weights;
  const int32_t *multiplier = columns->multiplier, *bias = columns->bias;
  const int32_t bias0 = bias[0], multiplier0 = multiplier[0];
  int32_t bias1 = 0, multiplier1 = 0;
  if (columns->channels > 1) {  // an odd last channel has no second one
    bias1 = bias[1];
    multiplier1 = multiplier[1];
  }
  VitDspJob* job = &columns->job;
  job->multipliers[0] = (uint32_t)multiplier0;
  job->multipliers[1] = (uint32_t)multiplier1;
  job->out = address(out);
  columns->weights = weights + columns->weights_step;
  columns->multiplier = multiplier + 2;
  columns->bias = bias + columns->bias_step;
  columns->channels -= 2;
  columns->run(columns, weights, bias0, bias1);
}

void vit_dsp_scores(const int16_t* tile, int32_t k_even, const int16_t* packed, int32_t pairs,
                    int32_t* sums) {
  const Path path =
      path_of(k_even, VIT_DSP_STEP_BYTES, vit_dsp_rows_labels.chunk_end, vit_dsp_rows_labels.tails);
  VitDspJob job;
  set_init(&job, 0, 0);
  job.reload = address(tile);
  job.entry = path.entry;
  job.out = address(sums);
  job.running = address(packed);
  job.running_end = address(packed + pairs * k_even);
  job.chunk_end = job.reload + path.steps * ROWS_STEP_BYTES;
  job.tail = path.tail;
  vit_dsp_gemm_rows(&job);
}

void vit_dsp_wide(const int16_t* tile, int32_t groups, int32_t k_even, const int16_t* columns,
                  int32_t* sums) {
  const VitDspStoreLabels* labels = &vit_dsp_wide_labels.stores;
  const Path path =
      path_of(k_even, VIT_DSP_WIDE_STEP_BYTES, labels->chunk_end, labels->tails[kVitDspSums]);
  VitDspJob job;
  set_init(&job, 0, 0);
  job.reload = address(columns);
  job.entry = path.entry;
  job.out = address(sums);
  job.running = address(tile);
  job.running_end = address(tile + groups * k_even * VIT_DSP_GROUP);
  job.chunk_end = job.reload + path.steps * WIDE_STEP_BYTES;
  job.tail = path.tail;
  vit_dsp_gemm_wide(&job);
}

#endif  // VIT_DSP_ASM
