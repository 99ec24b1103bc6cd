// SPDX-License-Identifier: Apache-2.0
// Reads option words in order and resolves blob offsets; remembers the first fault.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_READER_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_READER_H_

#include "vit_parse.h"

#ifdef __cplusplus
extern "C" {
#endif

// Bounds that keep every product of dimensions, every sum and every scratch size in range.
#define VIT_MAX_TOKENS 16384
#define VIT_MAX_EMBED_DIM 640
#define VIT_MAX_HEAD_DIM 256
#define VIT_MAX_HEAD_FEATURES 4096  // heads * head_dim
#define VIT_MAX_FEATURES 32768      // inputs or outputs of a layer: 2^15 * 255 * 128 < 2^31
#define VIT_MAX_IMAGE_SIDE 8192
#define VIT_MAX_CHANNELS 1024
#define VIT_MAX_SHIFT 15           // of accumulators and scores
#define VIT_MAX_RESIDUAL_SHIFT 23  // of an int8 residual; int16: VIT_MAX_SHIFT

typedef struct {
  const uint8_t* options;
  size_t words;
  size_t next;
  const uint8_t* blob;
  size_t blob_bytes;
  VitStatus status;
} VitReader;

// Checks the header; the reader stands at the first field afterwards.
VitReader vit_reader(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                     size_t blob_bytes, VitOpKind kind);

// Records `fault` unless `ok`, or unless there is an earlier one.
void vit_expect(VitReader* r, int ok, VitStatus fault);

int32_t vit_read(VitReader* r);    // 0 after a fault
int64_t vit_read64(VitReader* r);  // two words, low first
// A word in [low, high], else `fault`; returns `low` after any fault.
int32_t vit_read_in(VitReader* r, int32_t low, int32_t high, VitStatus fault);
int32_t vit_read_dimension(VitReader* r, int32_t high);  // in [1, high]
// `count` elements of `element_bytes` at the offset that the next word gives; NULL after a fault.
const void* vit_read_array(VitReader* r, int32_t count, int32_t element_bytes);

// Parts that several operators have. `bits` is the type of the layer's output; `optional` layers
// may be absent (all words 0).
void vit_read_linear(VitReader* r, int32_t bits, int optional, VitLinearParams* p);
// in -> out features; the expected sizes are checked.
void vit_read_projection(VitReader* r, int32_t in_features, int32_t out_features, int32_t bits,
                         VitProjection* p);
void vit_read_norm(VitReader* r, int32_t features, VitNorm* p);
void vit_read_residual(VitReader* r, VitResidual* p);

// The reader's status, after checking that all words were read.
VitStatus vit_reader_finish(VitReader* r);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_READER_H_
