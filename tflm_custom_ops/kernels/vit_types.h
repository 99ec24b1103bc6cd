// SPDX-License-Identifier: Apache-2.0
// Parameters of the fused operators. docs/operators.md gives the mathematics.
//
// Each struct mirrors a dataclass of tflm_custom_ops/options.py field by field; the serialized
// form is int32 words in the same order (pointers as byte offsets into the op's blob).
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_TYPES_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_TYPES_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIT_OPTIONS_MAGIC 0x31544956 /* "VIT1" little-endian */
#define VIT_OPTIONS_VERSION 1
#define VIT_OPTIONS_HEADER_WORDS 4 /* magic, kind, version, total words */

typedef enum {
  kVitPatchEmbed = 1,
  kVitAttention = 2,
  kVitMlp = 3,
  kVitLayerNorm = 4,
  kVitGelu = 5,
  kVitLinear = 6,
} VitOpKind;

typedef enum { kVitPoolNone = 0, kVitPoolMean = 1, kVitPoolFirst = 2 } VitPool;

// y[n] = clamp(out_zero_point + mulh(acc[n] << shift, multiplier[n]), out_min, out_max).
// 10 words.
typedef struct {
  int32_t in_features;        // K >= 1
  int32_t out_features;       // N >= 1
  const int16_t* weights;     // dual-channel packed [(N + 1) / 2][K rounded up to even]
  const int32_t* bias;        // [N], input zero point folded in
  const int32_t* multiplier;  // [N]
  int32_t shift;              // left shift of the accumulator, 0..15
  int32_t out_zero_point;
  int32_t out_min;
  int32_t out_max;
  int32_t k_block;  // even; inputs between extractions of the packed sums
} VitLinearParams;

// rank 0: dense, only `up` is used. 1 + 10 + 10 words.
typedef struct {
  int32_t rank;
  VitLinearParams down;
  VitLinearParams up;
} VitProjection;

// 5 words.
typedef struct {
  int32_t features;      // D, 1..640
  const int32_t* gamma;  // [D]
  const int32_t* beta;   // [D]
  int64_t epsilon;       // E >= 0, two words, low first
} VitNorm;

// The residual stream and how the block's input enters the last projection. 4 words.
typedef struct {
  int32_t bits;        // 8 or 16: type of x and y
  int32_t zero_point;  // of x; that of y is in the projection
  int32_t multiplier;
  int32_t shift;
} VitResidual;

typedef struct {
  int32_t tokens;
  int32_t embed_dim;
  int32_t heads;
  int32_t head_dim;         // <= 256
  int32_t token_tile;       // query tokens at a time, >= 1 (schedule, never changes the result)
  int32_t heads_at_a_time;  // `heads`, or 1 (schedule, never changes the result)
  int32_t score_multiplier;
  int32_t score_shift;
  const uint16_t* exp_table;  // [256]
  int64_t context_numerator;  // two words, low first
  int32_t context_zero_point;
  int32_t shared_down;  // 1: q, k and v share one `down`
  VitResidual residual;
  VitNorm norm;
  VitProjection q;
  VitProjection k;
  VitProjection v;
  VitProjection out;
} VitAttentionParams;

typedef struct {
  int32_t tokens;
  int32_t embed_dim;
  int32_t hidden_dim;
  int32_t token_tile;   // tokens at a time, >= 1 (schedule)
  int32_t hidden_tile;  // hidden units at a time, even or == hidden_dim (schedule)
  const int8_t* lut;    // [256], indexed by value + 128
  VitResidual residual;
  VitNorm norm;
  VitProjection fc1;
  VitProjection fc2;
} VitMlpParams;

typedef struct {
  int32_t tokens;
  int32_t embed_dim;
  int32_t input_bits;  // 8 or 16
  int32_t pool;        // VitPool
  int32_t zero_point;  // of the normalised tensor (mean pool)
  int32_t pool_multiplier;
  int32_t pool_zero_point;
  VitNorm norm;
} VitLayerNormParams;

typedef struct {
  const int8_t* lut;  // [256], indexed by value + 128
} VitGeluParams;

typedef struct {
  int32_t rows;
  int32_t token_tile;
  VitProjection projection;
} VitLinearOpParams;

typedef struct {
  int32_t image_height;
  int32_t image_width;
  int32_t channels;
  int32_t patch_height;
  int32_t patch_width;
  int32_t stride_y;
  int32_t stride_x;
  int32_t pad_top;
  int32_t pad_left;
  int32_t grid_height;  // patches down
  int32_t grid_width;   // patches across
  int32_t embed_dim;
  int32_t input_zero_point;
  int32_t output_bits;  // 8 or 16
  int32_t has_cls;      // 1: token 0 is `cls`
  const void* cls;      // [D] of the output type
  int32_t has_pos;
  const int8_t* pos;  // [grid_height * grid_width][D], patches only
  int32_t pos_zero_point;
  int32_t pos_multiplier;
  int32_t pos_shift;
  VitLinearParams linear;  // in_features = patch_height * patch_width * channels
} VitPatchEmbedParams;

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_TYPES_H_
