// SPDX-License-Identifier: Apache-2.0
// Placing regions in a scratch buffer.
#ifndef TFLM_CUSTOM_OPS_KERNELS_VIT_LAYOUT_H_
#define TFLM_CUSTOM_OPS_KERNELS_VIT_LAYOUT_H_

#include <stddef.h>
#include <stdint.h>

#define VIT_ALIGNMENT 16  // bytes, of the scratch and of every region in it

static inline size_t vit_align(size_t bytes) {
  return (bytes + VIT_ALIGNMENT - 1) / VIT_ALIGNMENT * VIT_ALIGNMENT;
}

// Bytes of `rows` rows of `stride` elements of `element_bytes` bytes.
static inline size_t vit_area(int32_t rows, int32_t stride, size_t element_bytes) {
  return vit_align((size_t)rows * (size_t)stride * element_bytes);
}

static inline size_t vit_max_size(size_t a, size_t b) { return a > b ? a : b; }

#endif  // TFLM_CUSTOM_OPS_KERNELS_VIT_LAYOUT_H_
