// SPDX-License-Identifier: Apache-2.0
#include "vit_kernels.h"
#include "vit_lookup_mve.h"

void vit_gelu(const VitGeluParams* params, const int8_t* x, int8_t* y, size_t count) {
  const int8_t* lut = params->lut + 128;
  size_t i = 0;
#if VIT_USE_MVE
  i = vit_mve_lookup(params->lut, x, y, count);
#endif
  // Four at a time: loads before stores, since the compiler must assume that y is x.
  for (; i + 4 <= count; i += 4) {
    const int8_t a = lut[x[i]], b = lut[x[i + 1]], c = lut[x[i + 2]], d = lut[x[i + 3]];
    y[i] = a;
    y[i + 1] = b;
    y[i + 2] = c;
    y[i + 3] = d;
  }
  for (; i < count; ++i) y[i] = lut[x[i]];
}
