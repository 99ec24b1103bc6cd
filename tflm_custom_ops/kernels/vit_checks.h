// SPDX-License-Identifier: Apache-2.0
// Checks of arrays' contents for the parser; each has a twin in Python (Predicate in ops/).
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_CHECKS_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_CHECKS_H_

#include "vit_types.h"

#ifdef __cplusplus
extern "C" {
#endif

// The sum of any row of exponentials of a table [256] is in [1, 2^23), each in 15 bits.
int vit_is_exp_table(const uint16_t* table, int32_t tokens);

// Whether a view [batches][heads][tokens][channels] has each element of its tensor once.
int vit_is_whole_view(const VitView* view, int32_t batches, int32_t heads, int32_t tokens,
                      int32_t channels);

// Whether the bytes of relative keys, two entries in an int16, are in [-127, 127].
int vit_are_packed_keys(const int16_t* keys, int32_t distance, int32_t head_dim);

// Whether a layer's sums come apart exactly in blocks of its k_block inputs, and all weights are in
// [-127, 127]: is_exact of exact_sums.py. It reads all weights; the parser does not call it.
int vit_is_exact(const VitLinearParams* layer);

// Whether two layers compute the same.
int vit_same_linear(const VitLinearParams* a, const VitLinearParams* b);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_CHECKS_H_
