// SPDX-License-Identifier: Apache-2.0
// Fills the jobs of the assembly core.
#include "vit_gemm_dsp.h"

#if VIT_DSP_ASM

#include <stddef.h>

#include "vit_expand_dsp.h"
#include "vit_math.h"

#define AT(field, offset) \
  _Static_assert(offsetof(VitDspJob, field) == (offset), "layout of " #field)
AT(multipliers, VIT_DSP_JOB_MULTIPLIERS);
AT(out, VIT_DSP_JOB_OUT);
AT(running_end, VIT_DSP_JOB_RUNNING_END);
AT(running, VIT_DSP_JOB_RUNNING);
AT(chunk_end, VIT_DSP_JOB_CHUNK_END);
AT(tail, VIT_DSP_JOB_TAIL);
AT(store, VIT_DSP_JOB_STORE);
AT(loop_entry, VIT_DSP_JOB_LOOP_ENTRY);
AT(streams, VIT_DSP_JOB_STREAMS);
AT(group_bytes, VIT_DSP_JOB_GROUP_BYTES);
_Static_assert(sizeof(VitDspJob) == VIT_DSP_JOB_BYTES, "layout of VitDspJob");
_Static_assert(VIT_ROW_GROUP == 2, "the core multiplies two rows");

extern const VitDspLabels vit_dsp_labels;
void vit_dsp_gemm(const VitDspJob* job);

#define NOT_INLINE __attribute__((noinline))  // keeps what is frequent short

#define STEP_INPUTS 6
#define INPUT_BYTES 4                                      // of the activations of a group
#define STEP_WEIGHT_BYTES 36                               // of three streams
#define AHEAD_BYTES (VIT_DSP_SINGLE_LOADS ? 12 : 0)        // of the weights, in the loop
#define SUMS_BYTES (VIT_ROW_GROUP * VIT_DSP_CHANNELS * 4)  // of a group
#define STREAMS_BYTES (VIT_ROW_GROUP * 3 * 4)              // of a group

static uint32_t address(const void* pointer) { return (uint32_t)(uintptr_t)pointer; }

static VitDspPath path_of(int32_t inputs) {
  const VitDspLabels* labels = &vit_dsp_labels;
  const int32_t steps = inputs / STEP_INPUTS, first = steps % VIT_DSP_CHUNK_STEPS;
  const int32_t entered = first ? first : VIT_DSP_CHUNK_STEPS;
  VitDspPath path;
  path.tail = labels->tails[(inputs - steps * STEP_INPUTS) / 2];
  path.entry = steps ? labels->loop_end - (uint32_t)(entered * VIT_DSP_STEP_BYTES) : path.tail;
  path.weight_bytes = (uint32_t)steps * STEP_WEIGHT_BYTES + AHEAD_BYTES;
  return path;
}

// Blocks start along `path` and end in `store`.
static void set_path(VitDspJob* job, VitDspPath path, VitDspStore store) {
  job->store = vit_dsp_labels.stores[store];
  job->tail = path.tail ? path.tail : job->store;
  job->loop_entry = path.entry;
  job->entry = vit_dsp_labels.begin ? vit_dsp_labels.begin : path.entry;
  job->chunk_end = job->weights + path.weight_bytes;
}

// Of four channels: copied by one LDM and one STM.
typedef struct {
  int32_t of[VIT_DSP_CHANNELS];
} Quad;

static const int32_t zeros[VIT_DSP_CHANNELS] = {0, 0, 0, 0};

// What the streams of four sums start from.
static void set_init(VitDspJob* job, const int32_t* bias) {
  const uint32_t b0 = (uint32_t)bias[0], b1 = (uint32_t)bias[1], b2 = (uint32_t)bias[2];
  job->init[0] = job->init[3] = b0 + 256 * b1;
  job->init[1] = job->init[4] = b1 + 256 * b2;
  job->init[2] = job->init[5] = b2 + 256 * (uint32_t)bias[3];
}

// ---- which inputs the streams may add up (tflm_custom_ops/exact_sums.py) -----------------------

// A block that starts inside a k_block is exact if it is at most this long.
#define ALWAYS_EXACT_BLOCK 512

static int32_t block_of(const VitDspProduct* product) {
  const int32_t k_block = product->linear->k_block, all = product->k_end - product->k_begin;
  if (k_block >= vit_dsp_k_even(product->linear->in_features)) return all;
  const int aligned = product->k_begin % k_block == 0;
  return vit_min32(all, aligned ? k_block : vit_min32(k_block, ALWAYS_EXACT_BLOCK));
}

int vit_dsp_is_whole(const VitDspProduct* product) {
  if (block_of(product) < product->k_end - product->k_begin) return 0;
  return !product->has_bias ||
         product->linear->k_block > vit_dsp_k_even(product->linear->in_features);
}

// ---- linear layers -----------------------------------------------------------------------------

// Inputs [from, from + inputs) of groups [begin, end).
static void set_groups(VitDspColumns* columns, int32_t from, int32_t inputs, int32_t begin,
                       int32_t end) {
  VitDspJob* job = &columns->job;
  job->running = columns->tile + (uint32_t)begin * job->group_bytes + (uint32_t)from * INPUT_BYTES;
  job->running_end = job->running + (uint32_t)(end - begin - 1) * job->group_bytes +
                     (uint32_t)inputs * INPUT_BYTES;
}

// Where all groups go one way and all inputs are expanded at once, the job is the same for all
// channels but for what it starts from and where it stores.
static void prepare(VitDspColumns* columns) {
  columns->is_prepared = !columns->is_blocked && columns->part >= columns->inputs &&
                         (!columns->is_inline || columns->whole_groups == columns->groups);
  if (!columns->is_prepared) return;
  set_path(&columns->job, columns->whole, columns->is_inline ? columns->store : kVitDspSums);
  set_groups(columns, 0, columns->inputs, 0, columns->groups);
  columns->job.out_step = columns->is_inline ? columns->out_step : SUMS_BYTES;
}

void vit_dsp_columns_sums(VitDspColumns* columns) {
  columns->is_inline = 0;
  prepare(columns);
}

void vit_dsp_columns_inline(VitDspColumns* columns, VitDspStore store, int32_t whole_groups,
                            uint32_t parameter, uint32_t out_step) {
  columns->is_inline = 1;
  columns->store = store;
  // One row, and no more: the parameter of a half group for all.
  columns->whole_groups = whole_groups ? whole_groups : columns->groups;
  columns->out_step = out_step;
  columns->job.zero_point = (uint32_t)columns->linear->out_zero_point;
  columns->job.parameter = whole_groups ? parameter : 0;
  prepare(columns);
}

void vit_dsp_columns_begin(VitDspColumns* columns, const VitDspProduct* product, int32_t channel) {
  const VitLinearParams* linear = product->linear;
  columns->linear = linear;
  columns->channel = channel;
  columns->pair_step = vit_dsp_k_even(linear->in_features);
  columns->quad_step = 2 * columns->pair_step;
  columns->expand = vit_dsp_expand;
  if (linear->layout) {  // four channels lie where two do else
    columns->quad_step = columns->pair_step;
    columns->expand = linear->layout;
    channel /= 2;
  }
  columns->weights =
      linear->weights + (ptrdiff_t)(channel / 2) * columns->pair_step + product->k_begin;
  columns->inputs = vit_dsp_k_even(product->k_end - product->k_begin);
  columns->input_words = columns->inputs / 2;
  columns->groups = product->groups;
  columns->block = vit_dsp_k_even(block_of(product));
  columns->has_bias = product->has_bias;
  columns->is_blocked = !vit_dsp_is_whole(product);
  columns->tile = address(product->tile);
  columns->expanded = product->expansion.words;
  columns->job.weights = address(product->expansion.words);
  columns->job.group_bytes = (uint32_t)columns->inputs * INPUT_BYTES;
  // Parts of about equal size, each a multiple of the unrolled step.
  const int32_t most = product->expansion.inputs;
  const int32_t parts = (columns->inputs + most - 1) / most;
  const int32_t steps = (columns->inputs + parts * STEP_INPUTS - 1) / (parts * STEP_INPUTS);
  columns->part = parts == 1 ? columns->inputs : vit_min32(steps * STEP_INPUTS, most);
  columns->whole = path_of(columns->inputs);
}

// Inputs from `from` on of groups [begin, end), to `store`.
static void run_groups(VitDspColumns* columns, int32_t from, int32_t inputs, int32_t begin,
                       int32_t end, VitDspStore store, uint32_t out, uint32_t out_step) {
  VitDspJob* job = &columns->job;
  set_path(job, path_of(inputs), store);
  if (columns->part < columns->inputs || columns->is_blocked) job->entry = vit_dsp_labels.resume;
  job->streams = address(columns->streams + 6 * begin);
  job->out = out;
  job->out_step = out_step;
  set_groups(columns, from, inputs, begin, end);
  vit_dsp_gemm(job);
}

// The last inputs of sums that stay in the streams.
static void finish(VitDspColumns* columns, int32_t from, uint32_t out) {
  const int32_t inputs = columns->inputs - from, whole = columns->whole_groups;
  if (!columns->is_inline) {
    run_groups(columns, from, inputs, 0, columns->groups, kVitDspSums, address(columns->sums),
               SUMS_BYTES);
    return;
  }
  run_groups(columns, from, inputs, 0, whole, columns->store, out, columns->out_step);
  if (whole == columns->groups) return;
  const uint32_t stride = columns->job.parameter;
  columns->job.parameter = 0;
  run_groups(columns, from, inputs, whole, columns->groups, columns->store,
             out + (uint32_t)whole * columns->out_step, columns->out_step);
  columns->job.parameter = stride;
}

// Inputs [from, from + inputs) of all groups: the streams go on, in columns->streams.
static void continue_streams(VitDspColumns* columns, int32_t from, int32_t inputs) {
  run_groups(columns, from, inputs, 0, columns->groups, kVitDspStreams, address(columns->streams),
             STREAMS_BYTES);
}

static void begin_streams(VitDspColumns* columns) {
  uint32_t* streams = columns->streams;
  for (int32_t g = 0; g < columns->groups; ++g) {
    for (int32_t i = 0; i < 6; ++i) *streams++ = columns->job.init[i];
  }
}

// Adds the four sums of each row's streams.
static void take_out(VitDspColumns* columns) {
  const uint32_t* t = columns->streams;
  int32_t* sums = columns->sums;
  for (int32_t r = 0; r < columns->groups * VIT_ROW_GROUP; ++r, t += 3, sums += 4) {
    const int32_t s0 = (int32_t)((t[0] - (t[1] << 8) + (t[2] << 16)) << 8) >> 8;
    const int32_t s1 = (int32_t)(t[0] - (uint32_t)s0) >> 8;
    const int32_t s2 = (int32_t)(t[1] - (uint32_t)s1) >> 8;
    const int32_t s3 = (int32_t)(t[2] - (uint32_t)s2) >> 8;
    sums[0] = vit_add32(sums[0], s0);
    sums[1] = vit_add32(sums[1], s1);
    sums[2] = vit_add32(sums[2], s2);
    sums[3] = vit_add32(sums[3], s3);
  }
}

// Two packed pairs of channels, or a quad at `pair0`, a part of their inputs.
static void expand(VitDspColumns* columns, const int16_t* pair0, const int16_t* pair1, int32_t from,
                   int32_t inputs) {
  columns->expand(pair0 + from, pair1 + from, columns->expanded, inputs / 2);
}

static void run_parts(VitDspColumns* columns, const int16_t* pair0, const int16_t* pair1,
                      uint32_t out) {
  const int32_t part = columns->part, inputs = columns->inputs;
  int32_t from = 0;
  begin_streams(columns);
  for (; from + part < inputs; from += part) {
    expand(columns, pair0, pair1, from, part);
    continue_streams(columns, from, part);
  }
  expand(columns, pair0, pair1, from, inputs - from);
  finish(columns, from, out);
}

static void run_blocks(VitDspColumns* columns, const int16_t* pair0, const int16_t* pair1,
                       const int32_t* bias) {
  for (int32_t i = 0; i < columns->groups * VIT_ROW_GROUP * VIT_DSP_CHANNELS; ++i) {
    columns->sums[i] = bias[i % VIT_DSP_CHANNELS];
  }
  set_init(&columns->job, zeros);
  for (int32_t begin = 0; begin < columns->inputs; begin += columns->block) {
    const int32_t end = vit_min32(begin + columns->block, columns->inputs);
    begin_streams(columns);
    for (int32_t from = begin; from < end; from += columns->part) {
      const int32_t inputs = vit_min32(columns->part, end - from);
      expand(columns, pair0, pair1, from, inputs);
      continue_streams(columns, from, inputs);
    }
    take_out(columns);
  }
}

// Multipliers of the next channels, some of which the layer may not have, and their bias.
static void load_channels(VitDspColumns* columns, int32_t* bias) {
  const VitLinearParams* linear = columns->linear;
  const int32_t channel = columns->channel, left = linear->out_features - channel;
  const int32_t* biases = columns->has_bias ? linear->bias + channel : zeros;
  const int32_t* multipliers = linear->multiplier + channel;
  Quad* to = (Quad*)columns->job.multipliers;
  if (left >= VIT_DSP_CHANNELS) {
    *(Quad*)bias = *(const Quad*)biases;
    *to = *(const Quad*)multipliers;
    return;
  }
  *(Quad*)bias = *to = (Quad){{0}};
#pragma GCC unroll 1
  for (int32_t i = 0; i < left; ++i) {
    bias[i] = biases[i];
    to->of[i] = multipliers[i];
  }
}

// Any four channels, any way.
static NOT_INLINE void next_in_general(VitDspColumns* columns, void* out) {
  const int16_t* pair0 = columns->weights;
  const int has_second = columns->linear->out_features - columns->channel > 2;
  const int16_t* pair1 = has_second ? pair0 + columns->pair_step : pair0;
  int32_t bias[VIT_DSP_CHANNELS];
  load_channels(columns, bias);
  if (columns->is_blocked) {
    run_blocks(columns, pair0, pair1, bias);
    return;
  }
  set_init(&columns->job, bias);
  if (columns->part < columns->inputs) {
    run_parts(columns, pair0, pair1, address(out));
    return;
  }
  expand(columns, pair0, pair1, 0, columns->inputs);
  finish(columns, 0, address(out));
}

void vit_dsp_columns_next(VitDspColumns* columns, void* out) {
  const VitLinearParams* linear = columns->linear;
  const int32_t channel = columns->channel;
  const int16_t* pair0 = columns->weights;
  VitDspJob* job = &columns->job;
  if (columns->is_prepared && linear->out_features - channel >= VIT_DSP_CHANNELS) {
    set_init(job, columns->has_bias ? linear->bias + channel : zeros);
    *(Quad*)job->multipliers = *(const Quad*)(linear->multiplier + channel);
    job->out = address(columns->is_inline ? out : columns->sums);
    columns->expand(pair0, pair0 + columns->pair_step, columns->expanded, columns->input_words);
    vit_dsp_gemm(job);
  } else {
    next_in_general(columns, out);
  }
  columns->channel = channel + VIT_DSP_CHANNELS;
  columns->weights = pair0 + columns->quad_step;
}

// ---- attention ---------------------------------------------------------------------------------

void vit_dsp_scores(const int16_t* tile, int32_t groups, int32_t k_even, const int16_t* packed,
                    int32_t pairs, uint32_t* expanded, int32_t* sums) {
  const int32_t quads = (pairs + 1) / 2;
  VitDspJob job;
  set_init(&job, zeros);
  job.weights = address(expanded);
  job.out_step = (uint32_t)quads * SUMS_BYTES;
  job.running = address(tile);
  job.running_end = job.running + (uint32_t)(groups * k_even) * INPUT_BYTES;
  set_path(&job, path_of(k_even), kVitDspSums);
  for (int32_t pair = 0; pair < pairs; pair += 2, packed += 2 * k_even, sums += 8) {
    vit_dsp_expand(packed, pair + 1 < pairs ? packed + k_even : packed, expanded, k_even / 2);
    job.out = address(sums);
    vit_dsp_gemm(&job);
  }
}

void vit_dsp_weighted(const int16_t* tile, int32_t groups, int32_t k_even, int32_t from,
                      int32_t count, const uint32_t* expanded, int32_t* sums) {
  VitDspJob job;
  set_init(&job, zeros);
  job.weights = address(expanded);
  set_path(&job, path_of(count), kVitDspStreams);
  job.out = job.streams = address(sums);
  job.out_step = STREAMS_BYTES;
  job.group_bytes = (uint32_t)k_even * INPUT_BYTES;
  job.running = address(tile) + (uint32_t)from * INPUT_BYTES;
  job.running_end =
      job.running + (uint32_t)(groups - 1) * job.group_bytes + (uint32_t)count * INPUT_BYTES;
  if (count < k_even) {
    if (from == 0) {
      for (int32_t i = 0; i < 6 * groups; ++i) sums[i] = 0;
    }
    job.entry = vit_dsp_labels.resume;
  }
  vit_dsp_gemm(&job);
}

#endif  // VIT_DSP_ASM
