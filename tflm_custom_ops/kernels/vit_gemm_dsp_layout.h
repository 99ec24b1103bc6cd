// SPDX-License-Identifier: Apache-2.0
// Layout of the job that the assembly cores copy to their stack: offsets for the assembler, the
// struct for C (vit_gemm_dsp.c asserts that they agree).
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_LAYOUT_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_LAYOUT_H_

// 1 where the assembly is compiled: an M-profile core with Thumb-2 and the DSP extension, unless
// VIT_NO_DSP asks for the portable kernels.
#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__ARM_ARCH_PROFILE) && \
    !defined(VIT_NO_DSP)
#define VIT_DSP_ASM (__ARM_ARCH_PROFILE == 'M')
#else
#define VIT_DSP_ASM 0
#endif

// Steps of six inputs in one pass of an unrolled loop, and the bytes of code of one step.
#define VIT_DSP_CHUNK_STEPS 16
#define VIT_DSP_STEP_BYTES 100
#define VIT_DSP_WIDE_STEP_BYTES 92

#define VIT_DSP_JOB_BIAS1 32
#define VIT_DSP_JOB_MULTIPLIERS 36
#define VIT_DSP_JOB_OUT 48
#define VIT_DSP_JOB_RUNNING 60
#define VIT_DSP_JOB_RUNNING_END 64
#define VIT_DSP_JOB_CHUNK_END 68
#define VIT_DSP_JOB_TAIL 72
// Packed inputs in blocks
#define VIT_DSP_JOB_BLOCKS 76
#define VIT_DSP_JOB_BLOCK_BYTES 80
#define VIT_DSP_JOB_BLOCK_ENTRY 84
#define VIT_DSP_JOB_BLOCK_TAIL 88
#define VIT_DSP_JOB_BLOCK_CHUNK_END 92
#define VIT_DSP_JOB_LAST_ENTRY 96
#define VIT_DSP_JOB_LAST_TAIL 100
#define VIT_DSP_JOB_LAST_CHUNK_END 104
// or wide inputs in parts
#define VIT_DSP_JOB_PARTIAL 76
#define VIT_DSP_JOB_GROUP_BYTES 80
#define VIT_DSP_JOB_RESUMED_ENTRY 84
#define VIT_DSP_JOB_WORDS 27
// Scratch of the core from here on.
#define VIT_DSP_JOB_PARTIAL_S1 108
#define VIT_DSP_JOB_BLOCKS_LEFT 120
#define VIT_DSP_JOB_FRAME_BYTES 124

#ifndef __ASSEMBLER__
#include <stdint.h>

// All pointers are addresses as words: the assembly loads them with whole LDMs.
typedef struct {
  uint32_t init[6];  // what the six sums start from
  uint32_t reload;  // operand that every block starts over: weights (columns) or activations (rows)
  uint32_t entry;   // code address that a block starts at
  uint32_t bias1;   // bias of the odd channel (packed columns)
  uint32_t multipliers[2];
  uint32_t zero_point;
  uint32_t out;
  uint32_t parameter;  // of the in-line store
  uint32_t out_step;   // bytes from one row group to the next
  uint32_t running;    // operand that runs on from block to block
  uint32_t running_end;
  uint32_t chunk_end;  // reloaded operand after the last whole step
  uint32_t tail;       // code address of the rest of the inputs and of the store
  union {
    struct {
      uint32_t blocks;       // of k_block inputs
      uint32_t block_bytes;  // of weights in one block
      uint32_t block_entry;
      uint32_t block_tail;
      uint32_t block_chunk_end;
      uint32_t last_entry;
      uint32_t last_tail;
      uint32_t last_chunk_end;
    } blocked;
    struct {
      uint32_t partial;  // sums to go on from, int32 [group][3][2]
      uint32_t group_bytes;
      uint32_t entry;
    } resumed;
  } more;
} VitDspJob;

// Stores that the cores have in line.
typedef enum {
  kVitDspInt8,    // int8 rows; parameter = row stride in bytes
  kVitDspTurned,  // int8 columns; parameter = bytes from channel to channel
  kVitDspTile,    // int16 tile
  kVitDspLut,     // int16 tile; parameter = address of the table's entry for 0
  kVitDspSums,    // int32 [group][3][2], bias included
  kVitDspStoreCount
} VitDspStore;

// Code addresses inside a columns core (Thumb bit set).
typedef struct {
  uint32_t chunk_end;                    // end of the unrolled loop's last step
  uint32_t tails[kVitDspStoreCount][3];  // 0, 2, 4 inputs left
} VitDspStoreLabels;

typedef struct {
  VitDspStoreLabels stores;
  uint32_t blocked_tails[3];
  uint32_t blocked_entry;
} VitDspColumnsLabels;

typedef struct {
  VitDspStoreLabels stores;
  uint32_t resumed_entry;
} VitDspWideLabels;

typedef struct {
  uint32_t chunk_end;
  uint32_t tails[3];
} VitDspRowsLabels;
#endif  // __ASSEMBLER__
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_DSP_LAYOUT_H_
