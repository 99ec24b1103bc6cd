// SPDX-License-Identifier: Apache-2.0
#include "vit_reader.h"

#include <string.h>

#include "vit_math.h"

VitReader vit_reader(const uint8_t* options, size_t options_bytes, const uint8_t* blob,
                     size_t blob_bytes, VitOpKind kind) {
  VitReader r = {options, options_bytes / 4, 0, blob, blob_bytes, kVitOk};
  vit_expect(&r, options != NULL && options_bytes % 4 == 0 && r.words >= VIT_OPTIONS_HEADER_WORDS,
             kVitTruncated);
  vit_expect(&r, vit_read(&r) == VIT_OPTIONS_MAGIC, kVitBadMagic);
  vit_expect(&r, vit_read(&r) == (int32_t)kind, kVitBadKind);
  vit_expect(&r, vit_read(&r) == VIT_OPTIONS_VERSION, kVitBadVersion);
  const int32_t count = vit_read(&r);
  vit_expect(&r, count >= 0 && (size_t)count == r.words, kVitTruncated);
  vit_expect(&r, blob != NULL && ((uintptr_t)blob & 3) == 0, kVitBadOffset);
  return r;
}

void vit_expect(VitReader* r, int ok, VitStatus fault) {
  if (!ok && r->status == kVitOk) r->status = fault;
}

int32_t vit_read(VitReader* r) {
  vit_expect(r, r->next < r->words, kVitTruncated);
  if (r->status != kVitOk) return 0;
  int32_t word;
  memcpy(&word, r->options + 4 * r->next, sizeof word);
  ++r->next;
  return word;
}

int64_t vit_read64(VitReader* r) {
  const uint32_t low = (uint32_t)vit_read(r);
  const uint32_t high = (uint32_t)vit_read(r);
  return (int64_t)((uint64_t)high << 32 | low);
}

int32_t vit_read_in(VitReader* r, int32_t low, int32_t high, VitStatus fault) {
  const int32_t word = vit_read(r);
  vit_expect(r, word >= low && word <= high, fault);
  return r->status == kVitOk ? word : low;
}

int32_t vit_read_dimension(VitReader* r, int32_t high) {
  return vit_read_in(r, 1, high, kVitBadDimension);
}

const void* vit_read_array(VitReader* r, int32_t count, int32_t element_bytes) {
  const int32_t offset = vit_read(r);
  vit_expect(r, offset >= 0 && offset % 4 == 0 && (size_t)offset <= r->blob_bytes, kVitBadOffset);
  if (r->status != kVitOk) return NULL;
  const size_t bytes_left = r->blob_bytes - (size_t)offset;
  vit_expect(r, count >= 0 && (size_t)count <= bytes_left / (size_t)element_bytes, kVitBadOffset);
  return r->status == kVitOk ? r->blob + offset : NULL;
}

void vit_read_linear(VitReader* r, int32_t bits, int optional, VitLinearParams* p) {
  const int32_t low = -(1 << (bits - 1)), high = -low - 1;
  p->in_features = vit_read_in(r, optional ? 0 : 1, VIT_MAX_FEATURES, kVitBadDimension);
  p->out_features = vit_read_in(r, optional ? 0 : 1, VIT_MAX_FEATURES, kVitBadDimension);
  vit_expect(r, (p->in_features == 0) == (p->out_features == 0), kVitBadDimension);
  if (p->in_features == 0) {
    memset(p, 0, sizeof *p);
    for (int i = 0; i < 8; ++i) (void)vit_read(r);
    return;
  }
  const int32_t pairs = (p->out_features + 1) / 2, k_even = (p->in_features + 1) / 2 * 2;
  p->weights = (const int16_t*)vit_read_array(r, pairs * k_even, sizeof(int16_t));
  p->bias = (const int32_t*)vit_read_array(r, p->out_features, sizeof(int32_t));
  p->multiplier = (const int32_t*)vit_read_array(r, p->out_features, sizeof(int32_t));
  p->shift = vit_read_in(r, 0, VIT_MAX_SHIFT, kVitBadValue);
  p->out_zero_point = vit_read_in(r, low, high, kVitBadValue);
  p->out_min = vit_read_in(r, low, high, kVitBadValue);
  p->out_max = vit_read_in(r, p->out_min, high, kVitBadValue);
  p->k_block = vit_read_in(r, 2, 2 * VIT_MAX_FEATURES, kVitBadValue);
  vit_expect(r, p->k_block % 2 == 0, kVitBadValue);
}

void vit_read_projection(VitReader* r, int32_t in_features, int32_t out_features, int32_t bits,
                         VitProjection* p) {
  p->rank = vit_read_in(r, 0, VIT_MAX_FEATURES, kVitBadDimension);
  vit_read_linear(r, 8, 1, &p->down);
  vit_read_linear(r, bits, 0, &p->up);
  vit_expect(r, p->down.out_features == p->rank, kVitBadDimension);
  vit_expect(r, p->up.out_features == out_features, kVitBadDimension);
  const int32_t first = p->rank ? p->down.in_features : p->up.in_features;
  vit_expect(r, first == in_features, kVitBadDimension);
  vit_expect(r, p->rank == 0 || p->up.in_features == p->rank, kVitBadDimension);
}

void vit_read_norm(VitReader* r, int32_t features, VitNorm* p) {
  p->features = vit_read_in(r, 1, VIT_MAX_EMBED_DIM, kVitBadDimension);
  vit_expect(r, p->features == features, kVitBadDimension);
  p->gamma = (const int32_t*)vit_read_array(r, p->features, sizeof(int32_t));
  p->beta = (const int32_t*)vit_read_array(r, p->features, sizeof(int32_t));
  p->epsilon = vit_read64(r);
  // The variance of 640 int16 values is below 2^49, so V stays below 2^50 (vit_norm.c).
  vit_expect(r, p->epsilon >= 0 && p->epsilon < INT64_C(1) << 49, kVitBadValue);
}

void vit_read_residual(VitReader* r, VitResidual* p) {
  p->bits = vit_read(r);
  vit_expect(r, p->bits == 8 || p->bits == 16, kVitBadValue);
  if (r->status != kVitOk) p->bits = 8;
  p->zero_point =
      p->bits == 16 ? vit_read_in(r, 0, 0, kVitBadValue) : vit_read_in(r, -128, 127, kVitBadValue);
  p->multiplier = vit_read(r);
  p->shift =
      vit_read_in(r, 0, p->bits == 16 ? VIT_MAX_SHIFT : VIT_MAX_RESIDUAL_SHIFT, kVitBadValue);
}

VitStatus vit_reader_finish(VitReader* r) {
  vit_expect(r, r->next == r->words, kVitTruncated);
  return r->status;
}
