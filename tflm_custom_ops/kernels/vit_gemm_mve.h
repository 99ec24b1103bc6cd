// SPDX-License-Identifier: Apache-2.0
// Matrix products on cores with Helium (vit_gemm_mve.S), on int8 rows and weights in rows of 8 or
// of 4 bits (tflm_custom_ops/ops/layouts.py). Results are those of docs/operators.md bit for bit;
// docs/kernels.md has the counts.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_MVE_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_MVE_H_

#include "vit_gemm_mve_layout.h"

#if VIT_USE_MVE

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Takes the sums int32 [channel][VIT_MVE_ROWS] of a product, which are gone when it returns. There
// is memory for whole fours of channels.
typedef void (*VitMveTake)(int32_t* sums, void* context);

// rows x weights: all inputs, some channels. The assembly reads the fields by their offsets. Inputs
// are read in steps of 16; behind the last one either the rows or the weights are 0, and both can
// be read. All addresses and strides are multiples of 4.
typedef struct {
  const int8_t* rows[VIT_MVE_ROWS];
  const int8_t* last;   // weights of the last two channels
  const int8_t* first;  // of the first two
  int32_t stride;       // bytes from row to row of the weights
  int32_t steps;        // of 16 inputs, 1 .. VIT_MVE_STEPS
  void* context;        // for `take`
  VitMveTake take;
} VitMveGemm;

// Uses VIT_MVE_ROWS * 4 bytes of stack a channel, and 144.
void vit_mve_gemm(const VitMveGemm* product);

// The same with weights of 4 bits, whose rows hold two channels each.
void vit_quads4(const VitMveGemm* product);

// What follows is in vit_store_mve.S, which reads the fields by their offsets.

// Requantizes sums of whole fours of channels to int8 rows.
typedef struct {
  const int32_t* bias;
  const int32_t* multiplier;
  int32_t shift;
  int32_t zero_point;
  int32_t low;
  int32_t high;
  int8_t* out[VIT_MVE_ROWS];
  int32_t quads;  // of channels, at least 1
} VitMveRequant;

void vit_mve_requant(const int32_t* sums, const VitMveRequant* requant);

// The same with a residual sum, to out[0] on. `in` may be `out`. Fields change.
typedef struct {
  VitMveRequant requant;
  const int8_t* in;
  int32_t in_stride;
  int32_t out_stride;
  int32_t in_zero_point;
  int32_t in_shift;
  int32_t in_multiplier;
  int32_t rows;
} VitMveResidual;

void vit_mve_residual(const int32_t* sums, VitMveResidual* residual);

// The same with channels as rows of the output.
typedef struct {
  const int32_t* bias;
  const int32_t* multiplier;
  int32_t shift;
  int32_t zero_point;
  int32_t low;
  int32_t high;
  int8_t* out;
  int32_t stride;  // from channel to channel
  int32_t rows;
  int32_t unused;
  int32_t channels;  // at least 1
} VitMveColumns;

void vit_mve_columns(const int32_t* sums, const VitMveColumns* columns);

// bytes[i] = table[bytes[i]].
void vit_mve_table(const int8_t* table, uint8_t* bytes, int32_t count);

#ifdef __cplusplus
}
#endif
#endif  // VIT_USE_MVE
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_GEMM_MVE_H_
