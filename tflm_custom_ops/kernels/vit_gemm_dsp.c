// SPDX-License-Identifier: Apache-2.0
// Fills the jobs of the assembly cores and finishes what they leave in sums.
#include "vit_gemm_dsp.h"

#if VIT_DSP_ASM

#include <stddef.h>
#include <string.h>

_Static_assert(offsetof(VitDspJob, bias1) == VIT_DSP_JOB_BIAS1, "layout");
_Static_assert(offsetof(VitDspJob, out) == VIT_DSP_JOB_OUT, "layout");
_Static_assert(offsetof(VitDspJob, running) == VIT_DSP_JOB_RUNNING, "layout");
_Static_assert(offsetof(VitDspJob, running_end) == VIT_DSP_JOB_RUNNING_END, "layout");
_Static_assert(offsetof(VitDspJob, chunk_end) == VIT_DSP_JOB_CHUNK_END, "layout");
_Static_assert(offsetof(VitDspJob, tail) == VIT_DSP_JOB_TAIL, "layout");
_Static_assert(offsetof(VitDspJob, blocks) == VIT_DSP_JOB_BLOCKS, "layout");
_Static_assert(offsetof(VitDspJob, block_bytes) == VIT_DSP_JOB_BLOCK_BYTES, "layout");
_Static_assert(offsetof(VitDspJob, block_entry) == VIT_DSP_JOB_BLOCK_ENTRY, "layout");
_Static_assert(offsetof(VitDspJob, block_tail) == VIT_DSP_JOB_BLOCK_TAIL, "layout");
_Static_assert(offsetof(VitDspJob, block_chunk_end) == VIT_DSP_JOB_BLOCK_CHUNK_END, "layout");
_Static_assert(offsetof(VitDspJob, last_entry) == VIT_DSP_JOB_LAST_ENTRY, "layout");
_Static_assert(offsetof(VitDspJob, last_tail) == VIT_DSP_JOB_LAST_TAIL, "layout");
_Static_assert(offsetof(VitDspJob, last_chunk_end) == VIT_DSP_JOB_LAST_CHUNK_END, "layout");
_Static_assert(sizeof(VitDspJob) == VIT_DSP_JOB_WORDS * 4, "layout");

extern const VitDspColumnsLabels vit_dsp_columns_labels;
extern const VitDspRowsLabels vit_dsp_rows_labels;
extern const VitDspRowsLabels vit_dsp_wide_labels;
void vit_dsp_gemm_columns(const VitDspJob* job);
void vit_dsp_gemm_rows(const VitDspJob* job);
void vit_dsp_gemm_wide(const VitDspJob* job);

// How a number of inputs runs through a core: whole steps, where a block enters, what follows.
typedef struct {
  uint32_t steps;
  uint32_t entry;
  uint32_t tail;
} Path;

#define STEP_INPUTS 6
#define PACKED_STEP_CODE VIT_DSP_STEP_BYTES
#define WIDE_STEP_CODE VIT_DSP_WIDE_STEP_BYTES

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

static void set_init(VitDspJob* job, int32_t value) {
  for (int i = 0; i < 6; ++i) job->init[i] = (uint32_t)value;
}

// A block of packed sums that starts inside a k_block is exact if it is at most this long.
#define ALWAYS_EXACT_BLOCK 512

static int32_t block_inputs(const VitLinearParams* linear, int32_t k_begin) {
  const int aligned = k_begin % linear->k_block == 0;
  return aligned || linear->k_block < ALWAYS_EXACT_BLOCK ? linear->k_block : ALWAYS_EXACT_BLOCK;
}

void vit_dsp_columns_begin(VitDspColumns* columns, const VitLinearParams* linear, int32_t k_begin,
                           int32_t k_end, const int16_t* tile, int32_t groups) {
  const VitDspColumnsLabels* labels = &vit_dsp_columns_labels;
  const int32_t k = vit_dsp_k_even(k_end - k_begin);
  const int32_t block = block_inputs(linear, k_begin);
  VitDspJob* job = &columns->job;
  columns->linear = linear;
  columns->weights = linear->weights + k_begin;
  columns->row_bytes = (uint32_t)vit_dsp_k_even(linear->in_features) * 2;
  columns->inputs = k;
  columns->blocked = block < k;
  columns->bias = 1;
  job->running = address(tile);
  job->running_end = job->running + (uint32_t)groups * (uint32_t)k * (VIT_DSP_GROUP * 2);
  if (!columns->blocked) {
    const Path path = path_of(k, PACKED_STEP_CODE, labels->chunk_end, labels->sums_tails);
    columns->chunk_bytes = path.steps * 12;
    columns->block_chunk_bytes = columns->last_chunk_bytes = 0;
    job->entry = path.entry;
    job->tail = path.tail;
    return;
  }
  const int32_t blocks = (k + block - 1) / block;
  const Path each = path_of(block, PACKED_STEP_CODE, labels->chunk_end, labels->blocked_tails);
  const Path last =
      path_of(k - (blocks - 1) * block, PACKED_STEP_CODE, labels->chunk_end, labels->blocked_tails);
  job->entry = labels->blocked_entry;
  job->blocks = (uint32_t)blocks;
  job->block_bytes = (uint32_t)block * 2;
  job->block_entry = each.entry;
  job->block_tail = each.tail;
  job->last_entry = last.entry;
  job->last_tail = last.tail;
  columns->chunk_bytes = 0;
  columns->block_chunk_bytes = each.steps * 12;
  columns->last_chunk_bytes = (uint32_t)(blocks - 1) * job->block_bytes + last.steps * 12;
}

// Points the job at one pair of channels; an odd last channel has no second one.
static void set_pair(VitDspColumns* columns, int32_t pair) {
  const VitLinearParams* linear = columns->linear;
  const int32_t* bias = linear->bias + 2 * pair;
  VitDspJob* job = &columns->job;
  const uint32_t weights = address(columns->weights) + (uint32_t)pair * columns->row_bytes;
  set_init(job, columns->bias ? bias[0] : 0);
  job->bias1 = columns->bias && 2 * pair + 1 < linear->out_features ? (uint32_t)bias[1] : 0;
  job->reload = weights;
  job->chunk_end = weights + columns->chunk_bytes;
  if (columns->blocked) {
    job->block_chunk_end = weights + columns->block_chunk_bytes;
    job->last_chunk_end = weights + columns->last_chunk_bytes;
  }
}

void vit_dsp_columns_sums(VitDspColumns* columns, int32_t pair, int32_t* sums) {
  set_pair(columns, pair);
  columns->job.out = address(sums);
  vit_dsp_gemm_columns(&columns->job);
}

int vit_dsp_can_inline(const VitDspColumns* columns) {
  const VitLinearParams* linear = columns->linear;
  return !columns->blocked && linear->shift == 0 && linear->out_max - linear->out_min == 255;
}

void vit_dsp_columns_begin_inline(VitDspColumns* columns, VitDspInline kind, uint32_t parameter,
                                  uint32_t out_step) {
  const VitDspColumnsLabels* labels = &vit_dsp_columns_labels;
  const uint32_t* const tails[] = {labels->int8_tails, labels->turned_tails, labels->tile_tails,
                                   labels->lut_tails};
  const Path path = path_of(columns->inputs, PACKED_STEP_CODE, labels->chunk_end, tails[kind]);
  VitDspJob* job = &columns->job;
  job->entry = path.entry;
  job->tail = path.tail;
  // The core clamps to [-128, 127]: shift the output's range there.
  job->zero_point = (uint32_t)(columns->linear->out_zero_point - 128 - columns->linear->out_min);
  job->parameter = parameter;
  job->out_step = out_step;
}

void vit_dsp_columns_inline(VitDspColumns* columns, int32_t pair, void* out) {
  VitDspJob* job = &columns->job;
  set_pair(columns, pair);
  job->multiplier0 = (uint32_t)columns->linear->multiplier[2 * pair];
  job->multiplier1 = (uint32_t)columns->linear->multiplier[2 * pair + 1];
  job->out = address(out);
  vit_dsp_gemm_columns(job);
}

void vit_dsp_scores(const int16_t* tile, int32_t k_even, const int16_t* packed, int32_t pairs,
                    int32_t* sums) {
  const Path path =
      path_of(k_even, PACKED_STEP_CODE, vit_dsp_rows_labels.chunk_end, vit_dsp_rows_labels.tails);
  VitDspJob job;
  set_init(&job, 0);
  job.reload = address(tile);
  job.entry = path.entry;
  job.out = address(sums);
  job.running = address(packed);
  job.running_end = address(packed + pairs * k_even);
  job.chunk_end = job.reload + path.steps * 36;
  job.tail = path.tail;
  vit_dsp_gemm_rows(&job);
}

void vit_dsp_wide(const int16_t* tile, int32_t groups, int32_t k_even, const int16_t* columns,
                  int32_t* sums) {
  const Path path =
      path_of(k_even, WIDE_STEP_CODE, vit_dsp_wide_labels.chunk_end, vit_dsp_wide_labels.tails);
  VitDspJob job;
  set_init(&job, 0);
  job.reload = address(columns);
  job.entry = path.entry;
  job.out = address(sums);
  job.running = address(tile);
  job.running_end = address(tile + groups * k_even * VIT_DSP_GROUP);
  job.chunk_end = job.reload + path.steps * 24;
  job.tail = path.tail;
  vit_dsp_gemm_wide(&job);
}

#endif  // VIT_DSP_ASM
