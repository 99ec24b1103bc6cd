// SPDX-License-Identifier: Apache-2.0
#include "vit_parse.h"

#include "vit_math.h"
#include "vit_reader.h"

const char* vit_status_message(VitStatus status) {
  static const char* const kMessages[kVitStatusCount] = {
      "ok",
      "options are truncated or have words that the operator does not know",
      "options do not start with VIT1",
      "options belong to another operator",
      "options were written by another version of the converter; fuse the model again",
      "an array lies outside the constant tensor, or is not aligned to 4 bytes",
      "a dimension or tile is out of range, or two dimensions disagree",
      "a shift, zero point, clamp range, type or block is out of range",
  };
  if ((unsigned)status >= (unsigned)kVitStatusCount) return "unknown status";
  return kMessages[status];
}

VitStatus vit_parse_patch_embed(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                                size_t blob_bytes, VitPatchEmbedParams* params) {
  VitReader r = vit_reader(options, options_bytes, blob, blob_bytes, kVitPatchEmbed);
  VitPatchEmbedParams* p = params;
  p->image_height = vit_read_dimension(&r, VIT_MAX_IMAGE_SIDE);
  p->image_width = vit_read_dimension(&r, VIT_MAX_IMAGE_SIDE);
  p->channels = vit_read_dimension(&r, VIT_MAX_CHANNELS);
  p->patch_height = vit_read_dimension(&r, VIT_MAX_IMAGE_SIDE);
  p->patch_width = vit_read_dimension(&r, VIT_MAX_IMAGE_SIDE);
  p->stride_y = vit_read_dimension(&r, VIT_MAX_IMAGE_SIDE);
  p->stride_x = vit_read_dimension(&r, VIT_MAX_IMAGE_SIDE);
  // Every patch begins inside the image, padding included.
  p->pad_top = vit_read_in(&r, 0, p->patch_height - 1, kVitBadDimension);
  p->pad_left = vit_read_in(&r, 0, p->patch_width - 1, kVitBadDimension);
  p->grid_height = vit_read_dimension(&r, VIT_MAX_IMAGE_SIDE);
  p->grid_width = vit_read_dimension(&r, VIT_MAX_IMAGE_SIDE);
  vit_expect(&r, (p->grid_height - 1) * p->stride_y - p->pad_top < p->image_height,
             kVitBadDimension);
  vit_expect(&r, (p->grid_width - 1) * p->stride_x - p->pad_left < p->image_width,
             kVitBadDimension);
  p->embed_dim = vit_read_dimension(&r, VIT_MAX_EMBED_DIM);
  p->input_zero_point = vit_read_in(&r, -128, 127, kVitBadValue);
  p->output_bits = vit_read(&r);
  vit_expect(&r, p->output_bits == 8 || p->output_bits == 16, kVitBadValue);
  if (r.status != kVitOk) return r.status;
  const int32_t patches = p->grid_height * p->grid_width;  // <= 2^26
  p->has_cls = vit_read_in(&r, 0, 1, kVitBadValue);
  vit_expect(&r, patches + p->has_cls <= VIT_MAX_TOKENS, kVitBadDimension);
  p->cls = vit_read_array(&r, p->has_cls ? p->embed_dim : 0, p->output_bits / 8);
  p->has_pos = vit_read_in(&r, 0, 1, kVitBadValue);
  p->pos = (const int8_t*)vit_read_array(&r, p->has_pos ? patches : 0, p->embed_dim);
  p->pos_zero_point = vit_read_in(&r, -128, 127, kVitBadValue);
  p->pos_multiplier = vit_read(&r);
  p->pos_shift = vit_read_in(&r, 0, VIT_MAX_RESIDUAL_SHIFT, kVitBadValue);
  vit_read_linear(&r, p->output_bits, 0, &p->linear);
  const int64_t inputs = (int64_t)p->patch_height * p->patch_width * p->channels;
  vit_expect(&r, inputs == p->linear.in_features, kVitBadDimension);
  vit_expect(&r, p->embed_dim == p->linear.out_features, kVitBadDimension);
  return vit_reader_finish(&r);
}

// The sum of any row of exponentials must be in [1, 2^23), each in 15 bits.
static int is_exp_table(const uint16_t* table, int32_t tokens) {
  int32_t largest = 0;
  for (int i = 0; i < 256; ++i) largest = vit_max32(largest, table[i]);
  return table[0] >= 1 && largest <= INT16_MAX && (int64_t)largest * tokens < 1 << 23;
}

static int same_bytes(const void* a, const void* b, size_t bytes) {
  const uint8_t *p = (const uint8_t*)a, *q = (const uint8_t*)b;
  for (size_t i = 0; i < bytes; ++i) {
    if (p[i] != q[i]) return 0;
  }
  return 1;
}

// Whether two layers compute the same.
static int same_linear(const VitLinearParams* a, const VitLinearParams* b) {
  const size_t n = (size_t)a->out_features;
  const size_t packed = (n + 1) / 2 * (((size_t)a->in_features + 1) / 2 * 2);
  return a->in_features == b->in_features && a->out_features == b->out_features &&
         a->shift == b->shift && a->out_zero_point == b->out_zero_point &&
         a->out_min == b->out_min && a->out_max == b->out_max &&
         same_bytes(a->weights, b->weights, packed * sizeof(int16_t)) &&
         same_bytes(a->bias, b->bias, n * sizeof(int32_t)) &&
         same_bytes(a->multiplier, b->multiplier, n * sizeof(int32_t));
}

VitStatus vit_parse_attention(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                              size_t blob_bytes, VitAttentionParams* params) {
  VitReader r = vit_reader(options, options_bytes, blob, blob_bytes, kVitAttention);
  VitAttentionParams* p = params;
  p->tokens = vit_read_dimension(&r, VIT_MAX_TOKENS);
  p->embed_dim = vit_read_dimension(&r, VIT_MAX_EMBED_DIM);
  p->heads = vit_read_dimension(&r, VIT_MAX_HEAD_FEATURES);
  p->head_dim = vit_read_dimension(&r, VIT_MAX_HEAD_DIM);
  const int32_t features = p->heads * p->head_dim;
  vit_expect(&r, features <= VIT_MAX_HEAD_FEATURES, kVitBadDimension);
  p->token_tile = vit_read_dimension(&r, VIT_MAX_TOKENS);
  p->heads_at_a_time = vit_read(&r);
  vit_expect(&r, p->heads_at_a_time == 1 || p->heads_at_a_time == p->heads, kVitBadDimension);
  p->score_multiplier = vit_read(&r);
  p->score_shift = vit_read_in(&r, 0, VIT_MAX_SHIFT, kVitBadValue);
  p->exp_table = (const uint16_t*)vit_read_array(&r, 256, sizeof(uint16_t));
  if (r.status != kVitOk) return r.status;
  vit_expect(&r, is_exp_table(p->exp_table, p->tokens), kVitBadValue);
  p->context_numerator = vit_read64(&r);
  // Divided by P << g >= 2^22 it must fit int32.
  vit_expect(&r, p->context_numerator >= 0 && p->context_numerator < INT64_C(1) << 53,
             kVitBadValue);
  p->context_zero_point = vit_read_in(&r, -128, 127, kVitBadValue);
  p->shared_down = vit_read_in(&r, 0, 1, kVitBadValue);
  vit_read_residual(&r, &p->residual);
  vit_read_norm(&r, p->embed_dim, &p->norm);
  vit_read_projection(&r, p->embed_dim, features, 8, &p->q);
  vit_read_projection(&r, p->embed_dim, features, 8, &p->k);
  vit_read_projection(&r, p->embed_dim, features, 8, &p->v);
  vit_read_projection(&r, features, p->embed_dim, p->residual.bits, &p->out);
  // Keys are packed in pairs like weights.
  vit_expect(&r, p->k.up.out_min >= -127, kVitBadValue);
  // The values use the keys' `down` layer where it is shared.
  vit_expect(&r, !p->shared_down || (p->k.rank > 0 && p->k.rank == p->v.rank), kVitBadDimension);
  if (r.status == kVitOk && p->shared_down) {
    vit_expect(&r, same_linear(&p->k.down, &p->v.down), kVitBadValue);
  }
  return vit_reader_finish(&r);
}

VitStatus vit_parse_mlp(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                        size_t blob_bytes, VitMlpParams* params) {
  VitReader r = vit_reader(options, options_bytes, blob, blob_bytes, kVitMlp);
  VitMlpParams* p = params;
  p->tokens = vit_read_dimension(&r, VIT_MAX_TOKENS);
  p->embed_dim = vit_read_dimension(&r, VIT_MAX_EMBED_DIM);
  p->hidden_dim = vit_read_dimension(&r, VIT_MAX_FEATURES);
  p->token_tile = vit_read_dimension(&r, VIT_MAX_TOKENS);
  p->hidden_tile = vit_read_in(&r, 1, p->hidden_dim, kVitBadDimension);
  vit_expect(&r, p->hidden_tile % 2 == 0 || p->hidden_tile == p->hidden_dim, kVitBadDimension);
  p->lut = (const int8_t*)vit_read_array(&r, 256, sizeof(int8_t));
  vit_read_residual(&r, &p->residual);
  vit_read_norm(&r, p->embed_dim, &p->norm);
  vit_read_projection(&r, p->embed_dim, p->hidden_dim, 8, &p->fc1);
  vit_read_projection(&r, p->hidden_dim, p->embed_dim, p->residual.bits, &p->fc2);
  return vit_reader_finish(&r);
}

VitStatus vit_parse_layer_norm(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                               size_t blob_bytes, VitLayerNormParams* params) {
  VitReader r = vit_reader(options, options_bytes, blob, blob_bytes, kVitLayerNorm);
  VitLayerNormParams* p = params;
  p->tokens = vit_read_dimension(&r, VIT_MAX_TOKENS);
  p->embed_dim = vit_read_dimension(&r, VIT_MAX_EMBED_DIM);
  p->input_bits = vit_read(&r);
  vit_expect(&r, p->input_bits == 8 || p->input_bits == 16, kVitBadValue);
  p->pool = vit_read_in(&r, kVitPoolNone, kVitPoolFirst, kVitBadValue);
  p->zero_point = vit_read_in(&r, -128, 127, kVitBadValue);
  p->pool_multiplier = vit_read(&r);
  p->pool_zero_point = vit_read_in(&r, -128, 127, kVitBadValue);
  vit_read_norm(&r, p->embed_dim, &p->norm);
  return vit_reader_finish(&r);
}

VitStatus vit_parse_gelu(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                         size_t blob_bytes, VitGeluParams* params) {
  VitReader r = vit_reader(options, options_bytes, blob, blob_bytes, kVitGelu);
  params->lut = (const int8_t*)vit_read_array(&r, 256, sizeof(int8_t));
  return vit_reader_finish(&r);
}

VitStatus vit_parse_linear(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                           size_t blob_bytes, VitLinearOpParams* params) {
  VitReader r = vit_reader(options, options_bytes, blob, blob_bytes, kVitLinear);
  VitLinearOpParams* p = params;
  p->rows = vit_read_dimension(&r, VIT_MAX_TOKENS);
  p->token_tile = vit_read_dimension(&r, VIT_MAX_TOKENS);
  VitProjection* q = &p->projection;
  q->rank = vit_read_in(&r, 0, VIT_MAX_FEATURES, kVitBadDimension);
  vit_read_linear(&r, 8, 1, &q->down);
  vit_read_linear(&r, 8, 0, &q->up);
  vit_expect(&r, q->down.out_features == q->rank, kVitBadDimension);
  vit_expect(&r, q->rank == 0 || q->up.in_features == q->rank, kVitBadDimension);
  return vit_reader_finish(&r);
}
