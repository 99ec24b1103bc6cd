// SPDX-License-Identifier: Apache-2.0
// Entry points of the fused operators. docs/operators.md defines each result bit for bit.
//
// Buffers: tokens are row-major [tokens][embed_dim], int8 or int16 as the parameters say. Where
// noted, y may equal x (token overwriting). `scratch` is 16-byte aligned and has at least the
// bytes that the matching *_scratch_bytes() returns; its content is undefined before and after.
// No kernel allocates memory or keeps state. Parameters come from vit_parse.h or are constants.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_KERNELS_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_KERNELS_H_

#include "vit_types.h"

#ifdef __cplusplus
extern "C" {
#endif

// Attention block. y may equal x.
size_t vit_attention_scratch_bytes(const VitAttentionParams* params);
void vit_attention(const VitAttentionParams* params, const void* x, void* y, void* scratch);

// MLP block. y may equal x.
size_t vit_mlp_scratch_bytes(const VitMlpParams* params);
void vit_mlp(const VitMlpParams* params, const void* x, void* y, void* scratch);

// LayerNorm: x int8/int16 [tokens][embed_dim]; y int8, [tokens][embed_dim] or pooled [embed_dim].
// y may equal x (the same address).
size_t vit_layer_norm_scratch_bytes(const VitLayerNormParams* params);
void vit_layer_norm(const VitLayerNormParams* params, const void* x, int8_t* y, void* scratch);

// Pointwise table over `count` values. y may equal x.
void vit_gelu(const VitGeluParams* params, const int8_t* x, int8_t* y, size_t count);

// Projection of `rows` rows. y must not overlap x.
size_t vit_linear_scratch_bytes(const VitLinearOpParams* params);
void vit_linear(const VitLinearOpParams* params, const int8_t* x, int8_t* y, void* scratch);

// Patch embedding, whole image [image_height][image_width][channels] at once. Tokens are written
// strip by strip (one strip = one row of patches), a strip's tokens only after its last pixel was
// read except as vit_patch_embed_strip() says, so that tokens may overlap consumed image rows.
size_t vit_patch_embed_scratch_bytes(const VitPatchEmbedParams* params);
void vit_patch_embed(const VitPatchEmbedParams* params, const int8_t* image, void* tokens,
                     void* scratch);

// The same in pieces. _begin writes the class token, if any. _strip embeds patch row `strip`
// (0 .. grid_height - 1): `rows` points at the first image row of that strip that lies inside the
// image, row max(0, strip * stride_y - pad_top), and holds the strip's rows up to the image's end.
void vit_patch_embed_begin(const VitPatchEmbedParams* params, void* tokens);
void vit_patch_embed_strip(const VitPatchEmbedParams* params, int32_t strip, const int8_t* rows,
                           void* tokens, void* scratch);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_KERNELS_H_
