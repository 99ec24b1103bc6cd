// SPDX-License-Identifier: Apache-2.0
// Reads the serialized parameters of an operator (docs/operators.md, Encoding).
//
// `options` need not be aligned; `blob` must be 4-byte aligned. Every offset, count and range is
// checked, so that a parsed struct is safe to run: no malformed file can make a kernel read or
// write outside the blob, x, y or scratch (given x and y of the sizes the struct implies).
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_PARSE_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_PARSE_H_

#include "vit_types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  kVitOk = 0,
  kVitTruncated,     // fewer words than the operator needs, or not a multiple of 4 bytes
  kVitBadMagic,      // not VIT1
  kVitBadKind,       // another operator's options
  kVitBadVersion,    // written by another version of the converter
  kVitBadOffset,     // an array is outside the blob or misaligned
  kVitBadDimension,  // a dimension or tile is out of range, or two disagree
  kVitBadValue,      // shift, zero point, clamp range, bits or block out of range
  kVitStatusCount
} VitStatus;

// A sentence for the console, never NULL.
const char* vit_status_message(VitStatus status);

VitStatus vit_parse_patch_embed(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                                size_t blob_bytes, VitPatchEmbedParams* params);
VitStatus vit_parse_attention(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                              size_t blob_bytes, VitAttentionParams* params);
VitStatus vit_parse_mlp(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                        size_t blob_bytes, VitMlpParams* params);
VitStatus vit_parse_layer_norm(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                               size_t blob_bytes, VitLayerNormParams* params);
VitStatus vit_parse_gelu(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                         size_t blob_bytes, VitGeluParams* params);
VitStatus vit_parse_linear(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                           size_t blob_bytes, VitLinearOpParams* params);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_PARSE_H_
