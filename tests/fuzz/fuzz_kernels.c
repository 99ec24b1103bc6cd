// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the parser of options and, for what it accepts, the kernel itself.
//
// An input: a byte of kind, a byte of flags, two bytes with the number of option words n, 4n bytes
// of options, the rest is the constant blob. Flag 1: the header's four words are written here, so
// that mutations reach what is behind them; flag 2: the output overwrites the input where it may;
// flag 4: all inputs are at the ends of int8, where sums are largest and packed keys lack a value.
// Every buffer is a heap block of exactly its size.
#include <stdlib.h>
#include <string.h>

#include "vit_kernels.h"
#include "vit_parse.h"

#define LARGEST_COUNT (1 << 16)
#define LARGEST_SCRATCH (1u << 20)
#define LARGEST_WORK (1LL << 24)  // multiply-accumulates: an input is done in a moment

typedef struct {
  int64_t inputs[3];  // elements, 0: none
  int64_t outputs;
  int32_t input_bits, output_bits;
  int64_t work;
  int in_place;
  size_t scratch;
} Sizes;

typedef union {
  VitPatchEmbedParams patch_embed;
  VitAttentionParams attention;
  VitMlpParams mlp;
  VitLayerNormParams layer_norm;
  VitGeluParams gelu;
  VitLinearOpParams linear;
  VitRmsNormParams rms_norm;
  VitAttentionCoreParams attention_core;
  VitPatchMergeParams patch_merge;
} AnyParams;

static VitStatus parse(int kind, const uint8_t* o, size_t n, const uint8_t* b, size_t m,
                       AnyParams* p) {
  switch (kind) {
    case kVitPatchEmbed:
      return vit_parse_patch_embed(o, n, b, m, &p->patch_embed);
    case kVitAttention:
      return vit_parse_attention(o, n, b, m, &p->attention);
    case kVitMlp:
      return vit_parse_mlp(o, n, b, m, &p->mlp);
    case kVitLayerNorm:
      return vit_parse_layer_norm(o, n, b, m, &p->layer_norm);
    case kVitGelu:
      return vit_parse_gelu(o, n, b, m, &p->gelu);
    case kVitLinear:
      return vit_parse_linear(o, n, b, m, &p->linear);
    case kVitRmsNorm:
      return vit_parse_rms_norm(o, n, b, m, &p->rms_norm);
    case kVitPatchMerge:
      return vit_parse_patch_merge(o, n, b, m, &p->patch_merge);
    default:
      return vit_parse_attention_core(o, n, b, m, &p->attention_core);
  }
}

static VitStatus check_sums(int kind, const AnyParams* p) {
  switch (kind) {
    case kVitPatchEmbed:
      return vit_check_sums_patch_embed(&p->patch_embed);
    case kVitAttention:
      return vit_check_sums_attention(&p->attention);
    case kVitMlp:
      return vit_check_sums_mlp(&p->mlp);
    case kVitLinear:
      return vit_check_sums_linear(&p->linear);
    case kVitPatchMerge:
      return vit_check_sums_patch_merge(&p->patch_merge);
    default:
      return kVitOk;
  }
}

static Sizes of_patch_embed(const VitPatchEmbedParams* p) {
  const int64_t patches = (int64_t)p->grid_height * p->grid_width;
  const int64_t image = (int64_t)p->image_height * p->image_width * p->channels;
  const int64_t patch = (int64_t)p->patch_height * p->patch_width * p->channels;
  return (Sizes){{image, 0, 0},
                 (patches + p->has_cls) * p->embed_dim,
                 8,
                 p->output_bits,
                 patches * patch * p->embed_dim,
                 0,
                 vit_patch_embed_scratch_bytes(p)};
}

static Sizes of_attention(const VitAttentionParams* p) {
  const int64_t stream = (int64_t)p->tokens * p->embed_dim;
  const int64_t width = (int64_t)p->heads * (p->head_dim + p->value_dim);
  return (Sizes){{stream, 0, 0},
                 stream,
                 p->residual.bits,
                 p->residual.bits,
                 p->tokens * width * (4LL * p->embed_dim + p->key_tokens),
                 1,
                 vit_attention_scratch_bytes(p)};
}

static Sizes of_mlp(const VitMlpParams* p) {
  const int64_t stream = (int64_t)p->tokens * p->embed_dim;
  return (Sizes){{stream, 0, 0},
                 stream,
                 p->residual.bits,
                 p->residual.bits,
                 3 * stream * p->hidden_dim,
                 1,
                 vit_mlp_scratch_bytes(p)};
}

static Sizes of_layer_norm(const VitLayerNormParams* p) {
  const int64_t stream = (int64_t)p->tokens * p->embed_dim;
  return (Sizes){{stream, 0, 0},
                 p->pool == kVitPoolNone ? stream : p->embed_dim,
                 p->input_bits,
                 8,
                 stream,
                 p->pool == kVitPoolNone && p->input_bits == 8,
                 vit_layer_norm_scratch_bytes(p)};
}

static Sizes of_linear(const VitLinearOpParams* p) {
  const VitLinearParams* first = p->projection.rank ? &p->projection.down : &p->projection.up;
  const int64_t in = first->in_features, out = p->projection.up.out_features;
  return (Sizes){{p->rows * in, 0, 0},
                 p->rows * out,
                 8,
                 8,
                 p->rows * (in + out) * (1LL + first->out_features),
                 0,
                 vit_linear_scratch_bytes(p)};
}

static Sizes of_rms_norm(const VitRmsNormParams* p) {
  const int64_t stream = (int64_t)p->tokens * p->embed_dim;
  return (Sizes){{stream, 0, 0},
                 stream,
                 p->input_bits,
                 8,
                 stream,
                 p->input_bits == 8,
                 vit_rms_norm_scratch_bytes(p)};
}

static Sizes of_attention_core(const VitAttentionCoreParams* p) {
  const int64_t scores = (int64_t)p->batches * p->heads * p->tokens * p->key_tokens;
  return (Sizes){{p->q.elements, p->k.elements, p->v.elements},
                 p->out.elements,
                 8,
                 8,
                 scores * (p->head_dim + p->value_dim),
                 0,
                 vit_attention_core_scratch_bytes(p)};
}

static Sizes of_patch_merge(const VitPatchMergeParams* p) {
  const int64_t tokens = (int64_t)p->grid_height * p->grid_width;
  const int64_t in = p->linear.in_features, out = p->linear.out_features;
  return (Sizes){{tokens * in, 0, 0},
                 tokens * out,
                 p->bits,
                 p->bits,
                 tokens * in * (1 + out),
                 0,
                 vit_patch_merge_scratch_bytes(p)};
}

static Sizes sizes(int kind, const AnyParams* p) {
  switch (kind) {
    case kVitPatchEmbed:
      return of_patch_embed(&p->patch_embed);
    case kVitAttention:
      return of_attention(&p->attention);
    case kVitMlp:
      return of_mlp(&p->mlp);
    case kVitLayerNorm:
      return of_layer_norm(&p->layer_norm);
    case kVitGelu:
      return (Sizes){{77, 0, 0}, 77, 8, 8, 77, 1, 0};
    case kVitLinear:
      return of_linear(&p->linear);
    case kVitRmsNorm:
      return of_rms_norm(&p->rms_norm);
    case kVitPatchMerge:
      return of_patch_merge(&p->patch_merge);
    default:
      return of_attention_core(&p->attention_core);
  }
}

static void run(int kind, const AnyParams* p, void* const x[3], void* y, void* scratch) {
  switch (kind) {
    case kVitPatchEmbed:
      vit_patch_embed(&p->patch_embed, x[0], y, scratch);
      break;
    case kVitAttention:
      vit_attention(&p->attention, x[0], y, scratch);
      break;
    case kVitMlp:
      vit_mlp(&p->mlp, x[0], y, scratch);
      break;
    case kVitLayerNorm:
      vit_layer_norm(&p->layer_norm, x[0], y, scratch);
      break;
    case kVitGelu:
      vit_gelu(&p->gelu, x[0], y, 77);
      break;
    case kVitLinear:
      vit_linear(&p->linear, x[0], y, scratch);
      break;
    case kVitRmsNorm:
      vit_rms_norm(&p->rms_norm, x[0], y, scratch);
      break;
    case kVitPatchMerge:
      vit_patch_merge(&p->patch_merge, x[0], y, scratch);
      break;
    default:
      vit_attention_core(&p->attention_core, x[0], x[1], x[2], y, scratch);
      break;
  }
}

// Values of all bits, the same for the same input.
static void* filled(int64_t bytes, uint32_t seed) {
  uint8_t* block = malloc(bytes ? (size_t)bytes : 1);
  for (int64_t i = 0; i < bytes; ++i) {
    seed = seed * 1664525u + 1013904223u;
    block[i] = (uint8_t)(seed >> 24);
  }
  return block;
}

// -128 and 127 alone.
static void to_ends(uint8_t* block, int64_t bytes) {
  for (int64_t i = 0; i < bytes; ++i) block[i] = block[i] & 0x40 ? 0x7F : 0x80;
}

static void run_guarded(int kind, const AnyParams* p, uint8_t flags, uint32_t seed) {
  const Sizes s = sizes(kind, p);
  if (s.outputs > LARGEST_COUNT || s.scratch > LARGEST_SCRATCH || s.work > LARGEST_WORK) return;
  void* x[3] = {NULL, NULL, NULL};
  for (int i = 0; i < 3; ++i) {
    if (s.inputs[i] > LARGEST_COUNT) return;
  }
  for (uint32_t i = 0; i < 3; ++i) {
    x[i] = filled(s.inputs[i] * s.input_bits / 8, seed + i);
    if (flags & 4u) to_ends(x[i], s.inputs[i] * s.input_bits / 8);
  }
  void* y = (flags & 2u) && s.in_place ? x[0] : filled(s.outputs * s.output_bits / 8, seed + 3);
  void* scratch = filled((int64_t)s.scratch, seed + 4);
  run(kind, p, x, y, scratch);
  if (kind == kVitPatchEmbed) {
    vit_patch_embed_begin(&p->patch_embed, y);
    vit_patch_embed_strip(&p->patch_embed, 0, x[0], y, scratch);
  }
  free(scratch);
  if (y != x[0]) free(y);
  for (int i = 0; i < 3; ++i) free(x[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const int kind = 1 + data[0] % 9;
  const size_t wanted = 4u * (data[2] | (size_t)data[3] << 8);
  const size_t options_bytes = wanted < size - 4 ? wanted : size - 4;
  const size_t blob_bytes = size - 4 - options_bytes;
  uint8_t* options = malloc(options_bytes ? options_bytes : 1);
  uint8_t* blob = malloc(blob_bytes ? blob_bytes : 1);
  memcpy(options, data + 4, options_bytes);
  memcpy(blob, data + 4 + options_bytes, blob_bytes);
  if (data[1] & 1u && options_bytes >= 4u * VIT_OPTIONS_HEADER_WORDS) {
    const int32_t header[VIT_OPTIONS_HEADER_WORDS] = {VIT_OPTIONS_MAGIC, kind, VIT_OPTIONS_VERSION,
                                                      (int32_t)(options_bytes / 4)};
    memcpy(options, header, sizeof(header));
  }
  AnyParams p;
  memset(&p, 0xA5, sizeof(p));
  const VitStatus status = parse(kind, options, options_bytes, blob, blob_bytes, &p);
  if (vit_status_message(status) == NULL) abort();
  // Sums of more than 24 bits are wrong numbers, and nothing worse: they run as well.
  if (status == kVitOk) {
    (void)check_sums(kind, &p);
    run_guarded(kind, &p, data[1], data[0] + 256u * data[1]);
  }
  free(options);
  free(blob);
  return 0;
}
