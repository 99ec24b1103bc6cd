// SPDX-License-Identifier: Apache-2.0
// Builtin TFLite operators of the compiled runtime, int8 unless noted. Results are bit for bit
// those of TensorFlow Lite Micro's reference kernels (reference.py defines them in NumPy).
//
// A pair (multiplier, shift) is TFLite's: factor = multiplier * 2^(shift - 31), a positive shift
// is to the left, shift <= 30, >= -31. Images are [height][width][channels], a batch of one.
// Unless noted y must not overlap x. No kernel allocates memory or keeps state.
#ifndef TFLM_CUSTOM_OPS_BUILTINS_VIT_BUILTINS_H_
#define TFLM_CUSTOM_OPS_BUILTINS_VIT_BUILTINS_H_

#include <stddef.h>
#include <stdint.h>

#include "vit_types.h"

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

// CONV_2D, and FULLY_CONNECTED as a 1 x 1 convolution. Pixels outside the image read as
// input_zero_point.
typedef struct {
  VitWindow window;
  int32_t input_zero_point;
  // in_features kernel_height * kernel_width * input_channels. Multiplier and shift are TFLite's.
  // Where weights are of 4 bits or linear.shift is not 0, (sum + bias) << linear.shift is 16 times
  // the sum that they belong to, and no shift is to the left.
  VitLinearParams linear;
  const int32_t* shift;  // [output_channels]
  // Schedule (schedule.py), never changes the result:
  int32_t rows;      // output pixels at a time, even
  int32_t inputs;    // gathered at a time, even
  int32_t channels;  // output channels at a time, even
} VitConv2DParams;

// Bytes of the scratch: rows * (2 * inputs + 4 * channels), and vit_expansion_bytes(inputs).
size_t vit_conv_2d_scratch_bytes(const VitConv2DParams* params);

// `scratch` is 4-byte aligned.
void vit_conv_2d(const VitConv2DParams* params, const int8_t* x, int8_t* y, void* scratch);

// The same with the scratch on the stack, where the arena has no room:
// vit_conv_2d_scratch_bytes() <= VIT_CONV_2D_STACK_BYTES.
#define VIT_CONV_2D_STACK_BYTES 768
void vit_conv_2d_on_stack(const VitConv2DParams* params, const int8_t* x, int8_t* y);

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

// BATCH_MATMUL: y [batch][rows][columns] = sum over depth of a * b. Strides count elements; 0
// repeats a matrix. |sum| < 2^31.
typedef struct {
  int32_t batch[3];
  int32_t a_batch_strides[3];
  int32_t b_batch_strides[3];
  int32_t rows;
  int32_t columns;
  int32_t depth;
  int32_t a_row_stride;
  int32_t a_stride;  // along depth
  int32_t b_column_stride;
  int32_t b_stride;  // along depth
  int32_t a_zero_point;
  int32_t b_zero_point;
  int32_t output_zero_point;
  int32_t out_multiplier;
  int32_t out_shift;
  int32_t out_min;
  int32_t out_max;
  const int32_t* bias;  // [columns], or NULL
} VitBatchMatMulParams;

void vit_batch_matmul(const VitBatchMatMulParams* params, const int8_t* a, const int8_t* b,
                      int8_t* y);

// SOFTMAX of each row, int8 to int8 of scale 1/256 and zero point -128, or to int16 of 1/65536 and
// -32768. y may equal x where it is int8.
typedef struct {
  int32_t rows;
  int32_t columns;              // < 4096
  int32_t output_bits;          // 8 or 16
  int32_t steps;                // of the table; beyond it exp() counts as 0
  const int32_t* exponentials;  // [steps], Q0.31 of steps below the row's maximum
} VitSoftmaxInt8Params;

void vit_softmax_int8(const VitSoftmaxInt8Params* params, const int8_t* x, void* y);

// Shapes and strides below have 4 dimensions and count elements; a stride of 0 repeats. Functions
// of int16 take zero points for 0.

// ADD and SUB (sign -1) with broadcasting. y may equal an operand that is not broadcast.
typedef struct {
  int32_t shape[4];
  int32_t a_strides[4];
  int32_t b_strides[4];
  int32_t sign;
  int32_t a_zero_point;
  int32_t a_multiplier;
  int32_t a_shift;
  int32_t b_zero_point;
  int32_t b_multiplier;
  int32_t b_shift;
  int32_t output_zero_point;
  int32_t out_multiplier;
  int32_t out_shift;
  int32_t out_min;
  int32_t out_max;
} VitAddParams;

void vit_add(const VitAddParams* params, const int8_t* a, const int8_t* b, int8_t* y);
void vit_add_int16(const VitAddParams* params, const int16_t* a, const int16_t* b, int16_t* y);

// MUL with broadcasting. y may equal an operand that is not broadcast.
typedef struct {
  int32_t shape[4];
  int32_t a_strides[4];
  int32_t b_strides[4];
  int32_t a_zero_point;
  int32_t b_zero_point;
  int32_t output_zero_point;
  int32_t out_multiplier;
  int32_t out_shift;
  int32_t out_min;
  int32_t out_max;
} VitMulParams;

void vit_mul(const VitMulParams* params, const int8_t* a, const int8_t* b, int8_t* y);
void vit_mul_int16(const VitMulParams* params, const int16_t* a, const int16_t* b, int16_t* y);

// The result's shape, and where operands are broadcast to it.
typedef struct {
  int32_t shape[4];
  int32_t a_strides[4];
  int32_t b_strides[4];
} VitBroadcast;

// SQUARED_DIFFERENCE with broadcasting.
typedef struct {
  VitBroadcast over;
  int32_t a_zero_point;
  int32_t a_multiplier;
  int32_t a_shift;
  int32_t b_zero_point;
  int32_t b_multiplier;
  int32_t b_shift;
  int32_t output_zero_point;
  int32_t out_multiplier;
  int32_t out_shift;
} VitSquaredDifferenceParams;

void vit_squared_difference(const VitSquaredDifferenceParams* params, const int8_t* a,
                            const int8_t* b, int8_t* y);

// DIV with broadcasting: y = clamp(z_y + rescale((a - z_a) / (b - z_b), out)); by 0 it saturates.
typedef struct {
  VitBroadcast over;
  int32_t a_zero_point;
  int32_t b_zero_point;
  int32_t output_zero_point;
  int32_t out_multiplier;
  int32_t out_shift;
  int32_t out_min;
  int32_t out_max;
} VitDivideParams;

void vit_divide(const VitDivideParams* params, const int8_t* a, const int8_t* b, int8_t* y);

// Comparisons with broadcasting; y is bool, 0 or 1.
#define VIT_COMPARE_EQUAL 0
#define VIT_COMPARE_NOT_EQUAL 1
#define VIT_COMPARE_LESS 2
#define VIT_COMPARE_LESS_EQUAL 3
#define VIT_COMPARE_GREATER 4
#define VIT_COMPARE_GREATER_EQUAL 5

typedef struct {
  VitBroadcast over;
  int32_t kind;
  int32_t a_zero_point;
  int32_t a_multiplier;
  int32_t a_shift;
  int32_t b_zero_point;
  int32_t b_multiplier;
  int32_t b_shift;
} VitCompareInt8Params;

void vit_compare_int8(const VitCompareInt8Params* params, const int8_t* a, const int8_t* b,
                      uint8_t* y);

typedef struct {
  VitBroadcast over;
  int32_t kind;
} VitCompareInt32Params;

void vit_compare_int32(const VitCompareInt32Params* params, const int32_t* a, const int32_t* b,
                       uint8_t* y);

// ADD, SUB, MUL, MAXIMUM, MINIMUM of int32 with broadcasting, modulo 2^32.
#define VIT_INT32_ADD 0
#define VIT_INT32_SUB 1
#define VIT_INT32_MUL 2
#define VIT_INT32_MAXIMUM 3
#define VIT_INT32_MINIMUM 4

typedef struct {
  VitBroadcast over;
  int32_t kind;
} VitArithmeticInt32Params;

void vit_arithmetic_int32(const VitArithmeticInt32Params* params, const int32_t* a,
                          const int32_t* b, int32_t* y);

// MAXIMUM (largest 1) and MINIMUM of one scale, with broadcasting.
typedef struct {
  VitBroadcast over;
  int32_t largest;
} VitExtremeInt8Params;

void vit_extreme_int8(const VitExtremeInt8Params* params, const int8_t* a, const int8_t* b,
                      int8_t* y);

// SELECT, SELECT_V2: a where the condition is not 0, else b; elements of any type.
typedef struct {
  VitBroadcast over;
  int32_t condition_strides[4];
  int32_t element_bytes;
} VitSelectParams;

void vit_select(const VitSelectParams* params, const uint8_t* condition, const void* a,
                const void* b, void* y);

// MAX_POOL_2D, AVERAGE_POOL_2D; only pixels inside the image count.
typedef struct {
  VitWindow window;
  int32_t average;  // 0: maximum
  int32_t out_min;
  int32_t out_max;
} VitPool2DParams;

void vit_pool_2d(const VitPool2DParams* params, const int8_t* x, int8_t* y);

// Operators that move values: y[y_offset + i . y_strides] = x[x_offset + i . x_strides] for each
// index i of `shape`, block_bytes at a time. All in bytes; an x stride of 0 repeats. For elements
// of any type.
#define VIT_COPY_RANK 6
typedef struct {
  int32_t shape[VIT_COPY_RANK];
  int32_t x_strides[VIT_COPY_RANK];
  int32_t y_strides[VIT_COPY_RANK];
  int32_t x_offset;
  int32_t y_offset;
  int32_t block_bytes;
} VitCopyParams;

void vit_copy(const VitCopyParams* params, const void* x, void* y);

// MEAN: x [outer][count][inner], y [outer][inner]; the division is part of the factor.
typedef struct {
  int32_t outer;
  int32_t count;
  int32_t inner;
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t out_multiplier;
  int32_t out_shift;
  int32_t out_min;
  int32_t out_max;
} VitMeanParams;

void vit_mean(const VitMeanParams* params, const int8_t* x, int8_t* y);

// count < 2^16.
void vit_mean_int16(const VitMeanParams* params, const int16_t* x, int16_t* y);

// MEAN, SUM, REDUCE_MAX, REDUCE_MIN over any dimensions; strides count elements.
#define VIT_REDUCE_SUM 0
#define VIT_REDUCE_MAXIMUM 1
#define VIT_REDUCE_MINIMUM 2

typedef struct {
  int32_t kind;
  int32_t kept[4];
  int32_t kept_strides[4];
  int32_t reduced[4];
  int32_t reduced_strides[4];
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t out_multiplier;
  int32_t out_shift;
} VitReduceParams;

void vit_reduce(const VitReduceParams* params, const int8_t* x, int8_t* y);

// GATHER: x [batches][outer][axis] parts of inner_bytes, indices [batches][indices]. An index
// outside of the axis takes the nearest part.
typedef struct {
  int32_t batches;
  int32_t outer;
  int32_t axis;
  int32_t indices;
  int32_t inner_bytes;
} VitGatherParams;

void vit_gather(const VitGatherParams* params, const void* x, const int32_t* indices, void* y);

// CAST of integers (bool as uint8) to int32, float or bool; codes as of QUANTIZE.
typedef struct {
  int32_t count;
  int32_t input_type;
  int32_t output_type;
} VitCastParams;

void vit_cast(const VitCastParams* params, const void* x, void* y);

// NEG of float. y may equal x.
typedef struct {
  int32_t count;
} VitNegateFloatParams;

void vit_negate_float(const VitNegateFloatParams* params, const float* x, float* y);

// RESIZE_BILINEAR; scales are input pixels per output pixel, times 2^10.
typedef struct {
  int32_t batches;
  int32_t input_height;
  int32_t input_width;
  int32_t channels;
  int32_t output_height;
  int32_t output_width;
  int32_t height_scale;
  int32_t width_scale;
  int32_t half_pixel;
} VitResizeBilinearParams;

void vit_resize_bilinear(const VitResizeBilinearParams* params, const int8_t* x, int8_t* y);

// RESIZE_NEAREST_NEIGHBOR: y[i][j] = x[rows[i]][columns[j]], pixels of any type.
typedef struct {
  int32_t batches;
  int32_t input_height;
  int32_t input_width;
  int32_t pixel_bytes;
  int32_t output_height;
  int32_t output_width;
  const int32_t* rows;
  const int32_t* columns;
} VitResizeNearestParams;

void vit_resize_nearest(const VitResizeNearestParams* params, const void* x, void* y);

// TRANSPOSE_CONV; the window is that of the convolution from output to input.
typedef struct {
  VitWindow window;
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t out_min;
  int32_t out_max;
  const int8_t* weights;      // [output_channels][kernel_height][kernel_width][input_channels]
  const int32_t* bias;        // [output_channels]
  const int32_t* multiplier;  // [output_channels]
  const int32_t* shift;       // [output_channels]
} VitTransposeConvParams;

void vit_transpose_conv(const VitTransposeConvParams* params, const int8_t* x, int8_t* y);

// Element types of the operators below.
#define VIT_ELEMENT_INT8 0
#define VIT_ELEMENT_UINT8 1
#define VIT_ELEMENT_INT16 2
#define VIT_ELEMENT_INT32 3
#define VIT_ELEMENT_FLOAT32 4
#define VIT_ELEMENT_BOOL 5

// QUANTIZE of float: y = clamp(round(x / scale) + zero_point), half away from zero.
typedef struct {
  int32_t count;
  int32_t type;  // of y
  float scale;
  int32_t zero_point;
  int32_t out_min;
  int32_t out_max;
} VitQuantizeParams;

void vit_quantize(const VitQuantizeParams* params, const float* x, void* y);

// QUANTIZE of integers: y = clamp(rescale(x - input_zero_point) + output_zero_point).
typedef struct {
  int32_t count;
  int32_t input_type;
  int32_t output_type;
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t out_multiplier;
  int32_t out_shift;
  int32_t out_min;
  int32_t out_max;
} VitRequantizeParams;

void vit_requantize(const VitRequantizeParams* params, const void* x, void* y);

// DEQUANTIZE: y = scale * (x - zero_point).
typedef struct {
  int32_t count;
  int32_t type;  // of x
  float scale;
  int32_t zero_point;
} VitDequantizeParams;

void vit_dequantize(const VitDequantizeParams* params, const void* x, float* y);

#ifdef __cplusplus
}
#endif
#endif  // TFLM_CUSTOM_OPS_BUILTINS_VIT_BUILTINS_H_
