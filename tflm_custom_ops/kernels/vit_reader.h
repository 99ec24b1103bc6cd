// SPDX-License-Identifier: Apache-2.0
// Reads option words in order and resolves blob offsets; remembers the first fault.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_READER_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_READER_H_

#include "vit_parse.h"

#ifdef __cplusplus
extern "C" {
#endif

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

int32_t vit_read(VitReader* r);  // 0 after a fault
// The word `words` words after the next one, which stays the next one; 0 if there is none.
int32_t vit_ahead(const VitReader* r, size_t words);
// A word in [low, high], else `fault`; returns `low` after any fault.
int32_t vit_read_in(VitReader* r, int64_t low, int64_t high, VitStatus fault);
// Two words, low first, in [0, 2^bits), else `fault`.
int64_t vit_read64_in(VitReader* r, int32_t bits, VitStatus fault);
// `count` elements of `element_bytes` at the offset that the next word gives; NULL after a fault.
const void* vit_read_array(VitReader* r, int64_t count, int32_t element_bytes);
// The same if `present`; else the word is 0, and the result NULL.
const void* vit_read_optional_array(VitReader* r, int present, int64_t count,
                                    int32_t element_bytes);
// A part that is absent: `words` words that are 0, and a struct of zeros.
void vit_read_absent(VitReader* r, void* part, size_t part_bytes, int32_t words);

// The reader's status, after checking that all words were read.
VitStatus vit_reader_finish(VitReader* r);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_READER_H_
