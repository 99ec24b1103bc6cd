// SPDX-License-Identifier: Apache-2.0
// A row of ADD on cores with Helium, four elements a turn.
#ifndef TFLM_CUSTOM_OPS_BUILTINS_VIT_ADD_MVE_H_
#define TFLM_CUSTOM_OPS_BUILTINS_VIT_ADD_MVE_H_

#include "vit_builtins.h"
#include "vit_rescale_mve.h"

#if VIT_USE_MVE

// Four elements of an operand, or one of them four times.
static inline int32x4_t vit_mve_operand(const int8_t* x, int32_t stride, int32_t i,
                                        mve_pred16_t p) {
  return stride ? vldrbq_z_s32(x + i, p) : vdupq_n_s32(*x);
}

// ADD_LEFT_SHIFT is part of the shifts to the left of both operands.
static void vit_mve_add_row(const VitAddParams* p, int32_t headroom, const int8_t* a,
                            const int8_t* b, int8_t* y) {
  VitMveFactor fa = vit_mve_factor(p->a_multiplier, p->a_shift);
  VitMveFactor fb = vit_mve_factor(p->b_multiplier, p->b_shift);
  const VitMveFactor fy = vit_mve_factor(p->out_multiplier, p->out_shift);
  const int32_t za = p->a_zero_point, zb = p->b_zero_point, zy = p->output_zero_point;
  const int32_t sa = p->a_strides[3], sb = p->b_strides[3], count = p->shape[3], sign = p->sign;
  const int32x4_t low = vdupq_n_s32(p->out_min), high = vdupq_n_s32(p->out_max);
  fa.left += headroom;
  fb.left += headroom;
  for (int32_t i = 0; i < count; i += 4) {
    const mve_pred16_t some = vctp32q((uint32_t)(count - i));
    const int32x4_t u = vit_mve_rescale(vsubq_n_s32(vit_mve_operand(a, sa, i, some), za), fa);
    const int32x4_t v = vit_mve_rescale(vsubq_n_s32(vit_mve_operand(b, sb, i, some), zb), fb);
    const int32x4_t sum = sign > 0 ? vaddq_s32(u, v) : vsubq_s32(u, v);
    const int32x4_t w = vaddq_n_s32(vit_mve_rescale(sum, fy), zy);
    vstrbq_p_s32(y + i, vminq_s32(vmaxq_s32(w, low), high), some);
  }
}

#endif  // VIT_USE_MVE
#endif  // TFLM_CUSTOM_OPS_BUILTINS_VIT_ADD_MVE_H_
