// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "vit_kernels.h"
#include "vit_layout.h"
#include "vit_linear_rows.h"
#include "vit_math.h"
#include "vit_store_mve.h"

static size_t rows_bytes(const VitPatchEmbedParams* p) {
  const int32_t tile = vit_min32(p->patch_tile, p->grid_width);
  return vit_area(vit_row_capacity(tile), vit_even(p->linear.in_features), sizeof(int16_t));
}

// A row of patches, in elements of int16; and how many are multiplied at a time: bytes, rounded up
// to whole steps of the product, take no more memory, so that there are more of them; an even
// number, so that tokens are written where overwrite_margin has it.
#if VIT_USE_MVE
static int32_t row_stride(const VitPatchEmbedParams* p) {
  const int32_t bytes = vit_round_up(p->linear.in_features, 16);
  return vit_min32(bytes / 2, vit_even(p->linear.in_features));
}
static int32_t tile_of(const VitPatchEmbedParams* p) {
  return vit_tile_rows((int32_t)rows_bytes(p) / (2 * row_stride(p))) & ~1;
}
#else
static int32_t row_stride(const VitPatchEmbedParams* p) { return vit_even(p->linear.in_features); }
static int32_t tile_of(const VitPatchEmbedParams* p) { return p->patch_tile; }
#endif

static size_t expansion_bytes(const VitPatchEmbedParams* p) {
  return vit_expansion_bytes(p->linear.in_features, p->expanded_inputs);
}

size_t vit_patch_embed_scratch_bytes(const VitPatchEmbedParams* params) {
  return rows_bytes(params) + expansion_bytes(params);
}

// Image row that the strip's first patch row reads, which padding may put above the image.
static int32_t strip_top(const VitPatchEmbedParams* p, int32_t strip) {
  return strip * p->stride_y - p->pad_top;
}

// Elements [at, at + count) of a wide row; returns their end.
static int32_t fill(VitInput* out, int32_t at, int32_t count, int32_t value) {
  for (int32_t i = 0; i < count; ++i) out[vit_wide_at(at + i)] = (VitInput)value;
  return at + count;
}

// The image as planes of rows of pixels: one plane of pixels of all channels, or one a channel.
typedef struct {
  int32_t count;
  int32_t channels;  // of a pixel
  ptrdiff_t elements;
} Planes;

static Planes planes_of(const VitPatchEmbedParams* p) {
  const int32_t pixels = p->image_height * p->image_width;
  if (p->planes) return (Planes){p->channels, 1, pixels};
  return (Planes){1, p->channels, 0};
}

// One patch as a wide row. `rows` is the image from row `first_row` on, of the first plane.
static void gather_patch(const VitPatchEmbedParams* p, const int8_t* rows, int32_t first_row,
                         int32_t top, int32_t left, VitInput* out) {
  const Planes planes = planes_of(p);
  const int32_t zero = p->input_zero_point, channels = planes.channels;
  // Columns of the patch that lie in the image: [begin, end).
  const int32_t begin = vit_clamp(-left, 0, p->patch_width);
  const int32_t end = vit_clamp(p->image_width - left, begin, p->patch_width);
  int32_t at = 0;
  for (int32_t plane = 0; plane < planes.count; ++plane, rows += planes.elements) {
    for (int32_t py = 0; py < p->patch_height; ++py) {
      const int32_t y = top + py;
      if (y < 0 || y >= p->image_height) {
        at = fill(out, at, p->patch_width * channels, zero);
        continue;
      }
      at = fill(out, at, begin * channels, zero);
      const int8_t* in =
          rows + ((ptrdiff_t)(y - first_row) * p->image_width + left + begin) * channels;
      const int32_t count = (end - begin) * channels;
      for (int32_t i = 0; i < count; ++i) out[vit_wide_at(at + i)] = in[i];
      at = fill(out, at + count, (p->patch_width - end) * channels, zero);
    }
  }
}

// Whether patches [gx, gx + count) of the strip lie in the image, and their runs of pixels are
// whole pairs of elements.
static int32_t is_inside(const VitPatchEmbedParams* p, int32_t top, int32_t gx, int32_t count) {
  const int32_t left = gx * p->stride_x - p->pad_left;
  const int32_t right = left + (count - 1) * p->stride_x + p->patch_width;
  return top >= 0 && top + p->patch_height <= p->image_height && left >= 0 &&
         right <= p->image_width && !(p->patch_width * planes_of(p).channels & 1);
}

// Patches from gx on that lie in the image: runs of pixels, all patches at once.
static void gather_inside(const VitPatchEmbedParams* p, const int8_t* rows, int32_t gx,
                          VitRows patches) {
  const Planes planes = planes_of(p);
  const int32_t run = p->patch_width * planes.channels;
  rows += (gx * p->stride_x - p->pad_left) * planes.channels;
  for (int32_t plane = 0, at = 0; plane < planes.count; ++plane, rows += planes.elements) {
    const int8_t* in = rows;
    for (int32_t py = 0; py < p->patch_height; ++py, at += run) {
#if VIT_USE_MVE
      for (int32_t r = 0; r < patches.rows; ++r) {
        vit_mve_copy(vit_input_row(patches, r) + at, in + r * p->stride_x * planes.channels, run);
      }
#else
      const VitRows part = {patches.data + vit_wide_at(at), patches.stride, patches.rows};
      vit_input_rows(in, p->stride_x * planes.channels, run, part);
#endif
      in += p->image_width * planes.channels;
    }
  }
}

static void gather_patches(const VitPatchEmbedParams* p, const int8_t* rows, int32_t top,
                           int32_t gx, VitRows patches) {
  if (is_inside(p, top, gx, patches.rows)) {
    gather_inside(p, rows, gx, patches);
    return;
  }
  for (int32_t r = 0; r < patches.rows; ++r) {
    const int32_t left = (gx + r) * p->stride_x - p->pad_left;
    gather_patch(p, rows, vit_max32(top, 0), top, left, vit_input_row(patches, r));
  }
}

// How the tokens from patch `patch` on are stored.
static VitStore token_store(const VitPatchEmbedParams* p, int32_t patch, void* tokens) {
  VitStore store = {0};
  const int32_t d = p->embed_dim, token = patch + p->has_cls;
  store.out = (int8_t*)tokens + (ptrdiff_t)token * d * (p->output_bits / 8);
  store.out_stride = d;
  if (p->has_pos) {
    store.function = p->output_bits == 16 ? vit_store_residual_8_16 : vit_store_residual_8_8;
    store.in = p->pos + (ptrdiff_t)patch * d;
    store.in_stride = d;
    store.in_zero_point = p->pos_zero_point;
    store.in_multiplier = p->pos_multiplier;
    store.in_shift = p->pos_shift;
  } else {
    store.function = p->output_bits == 16 ? vit_store_int16 : vit_store_int8;
  }
  return store;
}

void vit_patch_embed_begin(const VitPatchEmbedParams* params, void* tokens) {
  if (!params->has_cls) return;
  memcpy(tokens, params->cls, (size_t)params->embed_dim * (size_t)(params->output_bits / 8));
}

void vit_patch_embed_strip(const VitPatchEmbedParams* params, int32_t strip, const int8_t* rows,
                           void* tokens, void* scratch) {
  const VitLinearParams* linear = &params->linear;
  const int32_t top = strip_top(params, strip), k = linear->in_features;
  VitRows patches = {(int16_t*)scratch, row_stride(params), 0};
  const VitExpansion expansion =
      vit_expansion((uint8_t*)scratch + rows_bytes(params), expansion_bytes(params));
  for (int32_t gx = 0; gx < params->grid_width; gx += tile_of(params)) {
    patches.rows = vit_min32(tile_of(params), params->grid_width - gx);
    gather_patches(params, rows, top, gx, patches);
    vit_pad_inputs(patches, k);
    const VitStore store = token_store(params, strip * params->grid_width + gx, tokens);
    vit_linear_rows(linear, patches, (VitRange){0, linear->out_features}, (VitRange){0, k},
                    expansion, &store);
  }
}

void vit_patch_embed(const VitPatchEmbedParams* params, const int8_t* image, void* tokens,
                     void* scratch) {
  const ptrdiff_t row_bytes = (ptrdiff_t)params->image_width * planes_of(params).channels;
  vit_patch_embed_begin(params, tokens);
  for (int32_t strip = 0; strip < params->grid_height; ++strip) {
    const int32_t first_row = vit_max32(strip_top(params, strip), 0);
    vit_patch_embed_strip(params, strip, image + first_row * row_bytes, tokens, scratch);
  }
}
