// SPDX-License-Identifier: Apache-2.0
// Relative keys and values of tokens on a grid (docs/operators.md, Relative keys and values).
#ifndef TFLM_CUSTOM_OPS_OPS_ATTENTION_VIT_RELATIVE_H_
#define TFLM_CUSTOM_OPS_OPS_ATTENTION_VIT_RELATIVE_H_

#include "vit_types.h"

#ifdef __cplusplus
extern "C" {
#endif

// Entries of the tables by row and by column distance; 0 without.
static inline int32_t vit_relative_entries(const VitAttentionParams* p) {
  return p->relative_distance ? 4 * p->relative_distance + 4 : 0;
}

// Adds to the scores of query `query` with the first `tokens` keys what the relative keys give.
// `products`: scores of the query with all entries. Both lie as vit_score_at() says.
void vit_add_relative(const VitAttentionParams* p, int32_t query, int32_t tokens,
                      const int32_t* products, int32_t* scores);

// sums[entry] = exponentials `e` of the keys that query `query` sees at that distance, in units of
// 2^-15 of their sum `total` scaled to 23 bits. Both rows as exponentials lie.
void vit_relative_sums(const VitAttentionParams* p, int32_t query, const int16_t* e, int32_t total,
                       int16_t* sums);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_OPS_ATTENTION_VIT_RELATIVE_H_
