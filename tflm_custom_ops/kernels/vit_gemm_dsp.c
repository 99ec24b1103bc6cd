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

// A core's static shape, and how `inputs` inputs run through it.
typedef struct {
  int32_t step_inputs;
  int32_t chunk_steps;
  int32_t step_code_bytes;
} Core;

typedef struct {
  uint32_t steps;
  uint32_t entry;
  uint32_t tail;
} Path;

static const Core kPacked = {6, VIT_DSP_CHUNK_STEPS, VIT_DSP_STEP_BYTES};
static const Core kWide = {4, VIT_DSP_WIDE_CHUNK_STEPS, VIT_DSP_WIDE_STEP_BYTES};

static Path path_of(const Core* core, int32_t inputs, uint32_t loop_end, const uint32_t* tails) {
  const int32_t steps = inputs / core->step_inputs;
  const int32_t first = steps % core->chunk_steps;
  Path path;
  path.steps = (uint32_t)steps;
  path.tail = tails[(inputs - steps * core->step_inputs) / 2];
  path.entry = steps == 0 ? path.tail
                          : loop_end - (uint32_t)((first ? first : core->chunk_steps) *
                                                  core->step_code_bytes);
  return path;
}

static uint32_t address(const void* pointer) { return (uint32_t)(uintptr_t)pointer; }

static void set_init(VitDspJob* job, int32_t value) {
  for (int i = 0; i < 6; ++i) job->init[i] = (uint32_t)value;
}

void vit_dsp_columns_begin(VitDspColumns* columns, const VitLinearParams* linear,
                           const int16_t* tile, int32_t groups) {
  const VitDspColumnsLabels* labels = &vit_dsp_columns_labels;
  const int32_t k = vit_dsp_k_even(linear->in_features);
  VitDspJob* job = &columns->job;
  columns->linear = linear;
  columns->groups = groups;
  columns->row_bytes = (uint32_t)k * 2;
  columns->blocked = linear->k_block < k;
  job->running = address(tile);
  job->running_end = job->running + (uint32_t)groups * (uint32_t)k * (VIT_DSP_GROUP * 2);
  if (!columns->blocked) {
    const Path path = path_of(&kPacked, k, labels->chunk_end, labels->sums_tails);
    columns->chunk_bytes = path.steps * 12;
    job->entry = path.entry;
    job->tail = path.tail;
    return;
  }
  const int32_t blocks = (k + linear->k_block - 1) / linear->k_block;
  const int32_t last = k - (blocks - 1) * linear->k_block;
  const Path block = path_of(&kPacked, linear->k_block, labels->chunk_end, labels->blocked_tails);
  const Path rest = path_of(&kPacked, last, labels->chunk_end, labels->blocked_tails);
  job->entry = labels->blocked_entry;
  job->blocks = (uint32_t)blocks;
  job->block_bytes = (uint32_t)linear->k_block * 2;
  job->block_entry = block.entry;
  job->block_tail = block.tail;
  job->last_entry = rest.entry;
  job->last_tail = rest.tail;
  columns->block_chunk_bytes = block.steps * 12;
  columns->last_chunk_bytes = (uint32_t)(blocks - 1) * job->block_bytes + rest.steps * 12;
}

// Points the job at one pair of channels; an odd last channel has no second one.
static void set_pair(VitDspColumns* columns, int32_t pair) {
  const VitLinearParams* linear = columns->linear;
  VitDspJob* job = &columns->job;
  const uint32_t weights = address(linear->weights) + (uint32_t)pair * columns->row_bytes;
  set_init(job, linear->bias[2 * pair]);
  job->bias1 = 2 * pair + 1 < linear->out_features ? (uint32_t)linear->bias[2 * pair + 1] : 0;
  job->reload = weights;
  job->chunk_end = weights + columns->chunk_bytes;
  job->block_chunk_end = weights + columns->block_chunk_bytes;
  job->last_chunk_end = weights + columns->last_chunk_bytes;
}

void vit_dsp_columns_sums(VitDspColumns* columns, int32_t pair, int32_t* sums) {
  set_pair(columns, pair);
  columns->job.out = address(sums);
  vit_dsp_gemm_columns(&columns->job);
}

static int32_t clamp(int32_t value, int32_t low, int32_t high) {
  return value < low ? low : value > high ? high : value;
}

// sums [rows][2] -> int8, one channel of the pair.
static void requantize(const VitLinearParams* linear, int32_t channel, const int32_t* sums,
                       int32_t rows, int8_t* out, int32_t row_stride) {
  const int32_t multiplier = linear->multiplier[channel];
  for (int32_t row = 0; row < rows; ++row) {
    const int32_t scaled = (int32_t)((uint32_t)sums[2 * row] << linear->shift);
    const int32_t value = vit_dsp_mulh_add(scaled, multiplier, linear->out_zero_point);
    out[row * row_stride] = (int8_t)clamp(value, linear->out_min, linear->out_max);
  }
}

// Any shift, clamp range, row count and channel count.
static void linear_int8_general(const VitLinearParams* linear, int32_t begin, int32_t end,
                                const int16_t* tile, int32_t rows, int8_t* out,
                                int32_t row_stride, int32_t pair_stride) {
  VitDspColumns columns;
  int32_t sums[VIT_DSP_MAX_GROUPS * VIT_DSP_GROUP * 2];
  vit_dsp_columns_begin(&columns, linear, tile, vit_dsp_groups(rows));
  for (int32_t channel = begin; channel < end; channel += 2) {
    vit_dsp_columns_sums(&columns, channel / 2, sums);
    requantize(linear, channel, sums, rows, out, row_stride);
    if (channel + 1 < end) {
      requantize(linear, channel + 1, sums + 1, rows, out + 1, row_stride);
    }
    out += pair_stride;
  }
}

void vit_dsp_linear_int8(const VitLinearParams* linear, int32_t begin, int32_t end,
                         const int16_t* tile, int32_t rows, int8_t* out, int32_t row_stride,
                         int32_t pair_stride) {
  const int32_t k = vit_dsp_k_even(linear->in_features);
  const int in_line = linear->shift == 0 && linear->out_min == -128 && linear->out_max == 127 &&
                      linear->k_block >= k;
  const int32_t groups = in_line ? rows / VIT_DSP_GROUP : 0;
  const int32_t even_end = in_line ? end - ((end - begin) & 1) : begin;
  if (groups > 0 && even_end > begin) {
    const VitDspColumnsLabels* labels = &vit_dsp_columns_labels;
    const Path path = path_of(&kPacked, k, labels->chunk_end, labels->int8_tails);
    VitDspColumns columns;
    VitDspJob* job = &columns.job;
    vit_dsp_columns_begin(&columns, linear, tile, groups);
    job->entry = path.entry;
    job->tail = path.tail;
    job->zero_point = (uint32_t)linear->out_zero_point;
    job->row_stride = (uint32_t)row_stride;
    job->out_step = (uint32_t)row_stride * VIT_DSP_GROUP;
    for (int32_t channel = begin; channel < even_end; channel += 2) {
      set_pair(&columns, channel / 2);
      job->multiplier0 = (uint32_t)linear->multiplier[channel];
      job->multiplier1 = (uint32_t)linear->multiplier[channel + 1];
      job->out = address(out + (channel - begin) / 2 * pair_stride);
      vit_dsp_gemm_columns(job);
    }
  }
  const int32_t done = groups * VIT_DSP_GROUP;
  if (done < rows) {  // the rows of a partial group
    linear_int8_general(linear, begin, end, tile + done * k, rows - done, out + done * row_stride,
                        row_stride, pair_stride);
  }
  if (done > 0 && even_end < end) {  // an odd last channel
    linear_int8_general(linear, even_end, end, tile, done,
                        out + (even_end - begin) / 2 * pair_stride, row_stride, pair_stride);
  }
}

// One channel of a pair with the residual stream; y and x have stride out_features.
static void residual_channel(const VitLinearParams* linear, const VitResidual* residual,
                             int32_t channel, const int32_t* sums, int32_t rows, const void* x,
                             void* y) {
  const int32_t stride = linear->out_features;
  const int32_t multiplier = linear->multiplier[channel];
  const int32_t shift = linear->shift;
  const int32_t x_multiplier = residual->multiplier;
  const int32_t x_shift = residual->shift;
  // The zero points join the rounding constant: exact, all in 64 bits.
  const int64_t offset = ((int64_t)linear->out_zero_point << 32) + ((int64_t)1 << 31) -
                         (((int64_t)residual->zero_point * ((int64_t)1 << x_shift)) * x_multiplier);
  const int32_t low = linear->out_min, high = linear->out_max;
  const int8_t* x8 = (const int8_t*)x + channel;
  const int16_t* x16 = (const int16_t*)x + channel;
  int8_t* y8 = (int8_t*)y + channel;
  int16_t* y16 = (int16_t*)y + channel;
  for (int32_t row = 0; row < rows; ++row) {
    const int32_t scaled = (int32_t)((uint32_t)sums[2 * row] << shift);
    const int32_t in = residual->bits == 8 ? x8[row * stride] : x16[row * stride];
    int64_t value = offset + (int64_t)scaled * multiplier;
    value += (int64_t)(int32_t)((uint32_t)in << x_shift) * x_multiplier;
    const int32_t result = clamp((int32_t)(value >> 32), low, high);
    if (residual->bits == 8) {
      y8[row * stride] = (int8_t)result;
    } else {
      y16[row * stride] = (int16_t)result;
    }
  }
}

void vit_dsp_linear_residual(const VitLinearParams* linear, const VitResidual* residual,
                             const int16_t* tile, int32_t rows, const void* x, void* y) {
  VitDspColumns columns;
  int32_t sums[VIT_DSP_MAX_GROUPS * VIT_DSP_GROUP * 2];
  vit_dsp_columns_begin(&columns, linear, tile, vit_dsp_groups(rows));
  for (int32_t channel = 0; channel < linear->out_features; channel += 2) {
    vit_dsp_columns_sums(&columns, channel / 2, sums);
    residual_channel(linear, residual, channel, sums, rows, x, y);
    if (channel + 1 < linear->out_features) {
      residual_channel(linear, residual, channel + 1, sums + 1, rows, x, y);
    }
  }
}

void vit_dsp_scores(const int16_t* tile, int32_t k_even, const int16_t* packed, int32_t pairs,
                    int32_t* sums) {
  const Path path =
      path_of(&kPacked, k_even, vit_dsp_rows_labels.chunk_end, vit_dsp_rows_labels.tails);
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

void vit_dsp_wide(const int16_t* tile, int32_t k_even, const int8_t* bytes, int32_t pairs,
                  int32_t* sums) {
  const Path path =
      path_of(&kWide, k_even, vit_dsp_wide_labels.chunk_end, vit_dsp_wide_labels.tails);
  VitDspJob job;
  set_init(&job, 0);
  job.reload = address(tile);
  job.entry = path.entry;
  job.out = address(sums);
  job.running = address(bytes);
  job.running_end = address(bytes + pairs * k_even * 2);
  job.chunk_end = job.reload + path.steps * 24;
  job.tail = path.tail;
  vit_dsp_gemm_wide(&job);
}

static inline uint32_t load_word(const int8_t* p) {
  uint32_t word;
  memcpy(&word, p, 4);
  return word;
}

static inline int16_t* store_word(int16_t* p, uint32_t word) {
  memcpy(p, &word, 4);
  return p + 2;
}

// Four int8 in natural order -> two words of int16 pairs, minus the zero point.
static inline void widen4(uint32_t bytes, uint32_t zero_points, uint32_t* low, uint32_t* high) {
  uint32_t even, odd;
  __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(bytes));
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(bytes));
  __asm__("ssub16 %0, %0, %1" : "+r"(even) : "r"(zero_points));
  __asm__("ssub16 %0, %0, %1" : "+r"(odd) : "r"(zero_points));
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(*low) : "r"(even), "r"(odd));
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(*high) : "r"(odd), "r"(even));
}

static int16_t pack_one(const int8_t* row, int32_t i, int32_t k, int32_t zero_point) {
  return row != NULL && i < k ? (int16_t)(row[i] - zero_point) : 0;
}

void vit_dsp_pack_rows(const int8_t* x, int32_t stride, int32_t rows, int32_t k,
                       int32_t zero_point, int16_t* tile) {
  const uint32_t zero_points = (uint32_t)(zero_point & 0xFFFF) * 0x10001u;
  for (int32_t row = 0; row < rows; row += VIT_DSP_GROUP, x += VIT_DSP_GROUP * stride) {
    const int8_t* x0 = x;
    const int8_t* x1 = row + 1 < rows ? x + stride : NULL;
    const int8_t* x2 = row + 2 < rows ? x + 2 * stride : NULL;
    int32_t i = 0;
    if (x2 != NULL) {
      for (; i + 4 <= k; i += 4) {
        uint32_t low0, low1, low2, high0, high1, high2;
        widen4(load_word(x0 + i), zero_points, &low0, &high0);
        widen4(load_word(x1 + i), zero_points, &low1, &high1);
        widen4(load_word(x2 + i), zero_points, &low2, &high2);
        tile = store_word(tile, low0);
        tile = store_word(tile, low1);
        tile = store_word(tile, low2);
        tile = store_word(tile, high0);
        tile = store_word(tile, high1);
        tile = store_word(tile, high2);
      }
    }
    for (; i < k; i += 2, tile += 6) {
      tile[0] = pack_one(x0, i, k, zero_point);
      tile[1] = pack_one(x0, i + 1, k, zero_point);
      tile[2] = pack_one(x1, i, k, zero_point);
      tile[3] = pack_one(x1, i + 1, k, zero_point);
      tile[4] = pack_one(x2, i, k, zero_point);
      tile[5] = pack_one(x2, i + 1, k, zero_point);
    }
  }
}

#endif  // VIT_DSP_ASM
