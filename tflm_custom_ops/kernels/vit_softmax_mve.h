// SPDX-License-Identifier: Apache-2.0
// Attention on cores with Helium: the parts of vit_softmax.h that have another form there.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_SOFTMAX_MVE_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_SOFTMAX_MVE_H_

#include "vit_gemm_mve.h"
#include "vit_softmax.h"

#if VIT_USE_MVE

#ifdef __cplusplus
extern "C" {
#endif

// A tile of queries as they are: int8 rows.
typedef struct {
  const int8_t* data;
  int32_t stride;
  int32_t rows;
  int32_t zero_point;
} VitMveQueries;

// Scores int32 [rows][vit_exponential_stride(tokens)] of queries and keys int8 [tokens][head_dim].
// head_dim is a multiple of 16, addresses and strides one of 4. A key behind the last one is read.
void vit_mve_scores(const VitHead* head, VitMveQueries q, const int8_t* keys, int32_t* scores);

// vit_exponentials and, without relative values, vit_context.
int32_t vit_mve_exponentials(const VitSoftmax* softmax, const int32_t* scores, int32_t tokens,
                             int16_t* e);
void vit_mve_context(const VitHead* head, VitRows e, const int32_t* totals, const int8_t* values,
                     const VitContext* out);

// What follows is assembly, which reads the fields by their offsets.

// vit_mve_exponentials of 16 tokens or more.
typedef struct {
  const int32_t* scores;
  int16_t* e;
  const uint16_t* table;
  int32_t multiplier;  // negated
  int32_t shift;
  int32_t tokens;
} VitMveExponentials;

int32_t vit_mve_exponential_row(const VitMveExponentials* row);

// The late division of whole fours of channels of a row: those of sums [channel][VIT_MVE_ROWS].
typedef struct {
  const int32_t* sums;
  int32_t zero;   // added to a sum
  int32_t shift;  // g
  int32_t multiplier;
  int32_t bias;  // the zero point << 16
  int8_t* out;
  int32_t quads;
} VitMveDivide;

void vit_mve_divide(const VitMveDivide* row);

// Out [pair][row][2] = exponentials of three rows x two channels of values at a time.
typedef struct {
  const int16_t* e[3];
  int32_t tokens;
  const int8_t* values;
  int32_t stride;  // bytes from channel to channel
  int32_t pairs;
  int32_t* out;
} VitMveWeighted;

void vit_mve_weighted(const VitMveWeighted* product);

// The same of four rows, as vit_mve_gemm: `rows` are exponentials, `steps` tokens, at most
// VIT_MVE_WEIGHTED_TOKENS.
void vit_mve_weighted4(const VitMveGemm* product);

#ifdef __cplusplus
}
#endif
#endif  // VIT_USE_MVE
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_SOFTMAX_MVE_H_
