// SPDX-License-Identifier: Apache-2.0
// Builtin TFLite operators of the compiled runtime, int8. Results are bit for bit those of
// TensorFlow Lite Micro's reference kernels (reference.py defines them in NumPy).
//
// A pair (multiplier, shift) is TFLite's: factor = multiplier * 2^(shift - 31), a positive shift
// is to the left, shift <= 30, >= -31. Images are [height][width][channels], a batch of one.
// Unless noted y must not overlap x. No kernel allocates memory or keeps state.
#ifndef TFLM_CUSTOM_OPS_BUILTINS_VIT_BUILTINS_H_
#define TFLM_CUSTOM_OPS_BUILTINS_VIT_BUILTINS_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A window that slides over an image; dimensions and distances in pixels.
typedef struct {
  int32_t input_height;
  int32_t input_width;
  int32_t input_channels;
  int32_t output_height;
  int32_t output_width;
  int32_t output_channels;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_y;
  int32_t stride_x;
  int32_t dilation_y;
  int32_t dilation_x;
  int32_t pad_top;
  int32_t pad_left;
} VitWindow;

// CONV_2D, and FULLY_CONNECTED as a 1 x 1 convolution. K = kernel_height * kernel_width *
// input_channels. Pixels outside the image read as input_zero_point.
typedef struct {
  VitWindow window;
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t out_min;
  int32_t out_max;
  int32_t k_block;            // as in VitLinearParams
  const int16_t* weights;     // dual-channel packed [(O + 1) / 2][K rounded up to even]
  const int32_t* bias;        // [O], -input_zero_point * sum(weights) folded in
  const int32_t* multiplier;  // [O]
  const int32_t* shift;       // [O]
} VitConv2DParams;

void vit_conv_2d(const VitConv2DParams* params, const int8_t* x, int8_t* y);

// DEPTHWISE_CONV_2D. Output channel o reads input channel o / depth_multiplier.
typedef struct {
  VitWindow window;
  int32_t depth_multiplier;
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t out_min;
  int32_t out_max;
  const int8_t* weights;      // [kernel_height][kernel_width][output_channels]
  const int32_t* bias;        // [output_channels]
  const int32_t* multiplier;  // [output_channels]
  const int32_t* shift;       // [output_channels]
} VitDepthwiseConv2DParams;

void vit_depthwise_conv_2d(const VitDepthwiseConv2DParams* params, const int8_t* x, int8_t* y);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_BUILTINS_VIT_BUILTINS_H_
