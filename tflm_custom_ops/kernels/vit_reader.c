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

int32_t vit_ahead(const VitReader* r, size_t words) {
  int32_t word = 0;
  if (r->next + words < r->words) memcpy(&word, r->options + 4 * (r->next + words), sizeof word);
  return word;
}

int32_t vit_read_in(VitReader* r, int64_t low, int64_t high, VitStatus fault) {
  const int32_t word = vit_read(r);
  vit_expect(r, word >= low && word <= high, fault);
  return r->status == kVitOk ? word : (int32_t)low;
}

int64_t vit_read64_in(VitReader* r, int32_t bits, VitStatus fault) {
  const uint32_t low = (uint32_t)vit_read(r);
  const uint32_t high = (uint32_t)vit_read(r);
  const uint64_t value = (uint64_t)high << 32 | low;
  vit_expect(r, value >> bits == 0, fault);
  return r->status == kVitOk ? (int64_t)value : 0;
}

const void* vit_read_array(VitReader* r, int64_t count, int32_t element_bytes) {
  const int32_t offset = vit_read(r);
  vit_expect(r, offset >= 0 && offset % 4 == 0 && (size_t)offset <= r->blob_bytes, kVitBadOffset);
  if (r->status != kVitOk) return NULL;
  const size_t bytes_left = r->blob_bytes - (size_t)offset;
  vit_expect(r, count >= 0 && (uint64_t)count <= bytes_left / (size_t)element_bytes, kVitBadOffset);
  return r->status == kVitOk ? r->blob + offset : NULL;
}

const void* vit_read_optional_array(VitReader* r, int present, int64_t count,
                                    int32_t element_bytes) {
  if (present) return vit_read_array(r, count, element_bytes);
  (void)vit_read_in(r, 0, 0, kVitBadValue);
  return NULL;
}

void vit_read_absent(VitReader* r, void* part, size_t part_bytes, int32_t words) {
  memset(part, 0, part_bytes);
  for (int32_t i = 0; i < words; ++i) (void)vit_read_in(r, 0, 0, kVitBadValue);
}

VitStatus vit_reader_finish(VitReader* r) {
  vit_expect(r, r->next == r->words, kVitTruncated);
  return r->status;
}
