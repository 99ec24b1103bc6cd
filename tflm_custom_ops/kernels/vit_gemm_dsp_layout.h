// SPDX-License-Identifier: Apache-2.0
// What the assembly core and the C code around it agree on: the job that the core copies to its
// stack, as offsets for the assembler and as a struct for C (vit_gemm_dsp.c asserts that they
// agree), and which form of the loop is built.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_LAYOUT_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_LAYOUT_H_

#include "vit_gemm_mve_layout.h"

// 1 where the assembly is compiled: an M-profile core with Thumb-2 and the DSP extension, unless
// VIT_NO_DSP asks for the portable kernels, or the core runs the Helium kernels.
#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__ARM_ARCH_PROFILE) && \
    !defined(VIT_NO_DSP) && !VIT_USE_MVE
#define VIT_DSP_ASM (__ARM_ARCH_PROFILE == 'M')
#else
#define VIT_DSP_ASM 0
#endif

// Form of the core's loop (docs/kernels.md, Cycle estimates): 0 loads three words at a time, the
// fewest instructions; 1 puts single loads between the products, fewer cycles where a core issues
// both at once. Results are the same.
#ifndef VIT_DSP_SINGLE_LOADS
#define VIT_DSP_SINGLE_LOADS 0
#endif

// Steps of six inputs in one pass of the unrolled loop, and the bytes of code of one step.
#if VIT_DSP_SINGLE_LOADS
#define VIT_DSP_CHUNK_STEPS 16
#define VIT_DSP_STEP_BYTES 140
#else
#define VIT_DSP_CHUNK_STEPS 32
#define VIT_DSP_STEP_BYTES 92
#endif

#define VIT_DSP_JOB_MULTIPLIERS 32
#define VIT_DSP_JOB_OUT 52
#define VIT_DSP_JOB_RUNNING_END 64
#define VIT_DSP_JOB_RUNNING 68
#define VIT_DSP_JOB_CHUNK_END 72
#define VIT_DSP_JOB_TAIL 76
#define VIT_DSP_JOB_STORE 80
#define VIT_DSP_JOB_LOOP_ENTRY 84
#define VIT_DSP_JOB_STREAMS 88
#define VIT_DSP_JOB_GROUP_BYTES 92
#define VIT_DSP_JOB_BYTES 96

#ifndef __ASSEMBLER__
#include <stdint.h>

// All pointers are addresses as words: the assembly loads them with whole LDMs.
typedef struct {
  uint32_t init[6];  // what the streams start from: T1 T2 T3 of both rows
  uint32_t weights;  // streams' weights, int16 [inputs / 2][3][2]; every block starts them over
  uint32_t entry;    // code address that a block starts at
  uint32_t multipliers[4];
  uint32_t zero_point;
  uint32_t out;
  uint32_t parameter;    // of the store
  uint32_t out_step;     // bytes from one row group to the next
  uint32_t running_end;  // of the activations
  uint32_t running;      // activations of the first group
  uint32_t chunk_end;    // of the weights, after the last whole step
  uint32_t tail;         // code address of the rest of the inputs
  uint32_t store;        // code address
  uint32_t loop_entry;   // code address in the unrolled loop
  // Where a block goes on from streams that were stored:
  uint32_t streams;      // uint32 [group][6]
  uint32_t group_bytes;  // from the activations of one group to those of the next
} VitDspJob;

// Stores of a block: two rows x four channels.
typedef enum {
  kVitDspInt8,     // int8 rows; parameter = row stride in bytes, 0: of row 0 only
  kVitDspTurned,   // int8 columns; parameter = bytes from channel to channel
  kVitDspTile,     // int16 tile
  kVitDspLut,      // int16 tile; parameter = address of the table's entry for 0
  kVitDspKeys,     // int16 row of two tokens' keys: even token + 256 * odd token
  kVitDspSums,     // int32 [2 rows][4 channels]
  kVitDspStreams,  // T1 T2 T3 of both rows as they are
  kVitDspStoreCount
} VitDspStore;

// Code addresses inside the core (Thumb bit set).
typedef struct {
  uint32_t begin;   // a block from the job's init; 0: at the loop's entry
  uint32_t resume;  // a block from stored streams
  uint32_t loop_end;
  uint32_t tails[3];  // 0, 2, 4 inputs left; tails[0] == 0: at the store
  uint32_t stores[kVitDspStoreCount];
} VitDspLabels;
#endif  // __ASSEMBLER__
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_LAYOUT_H_
