// SPDX-License-Identifier: Apache-2.0
// The part of TensorFlow Lite Micro's C ABI that the operators of this project use.
//
// Mirrors (own text, same names and layout) the TF_LITE_STATIC_MEMORY flavour of TFLM's
//   tensorflow/lite/core/c/common.h, tensorflow/lite/core/c/c_api_types.h and
//   tensorflow/compiler/mlir/lite/core/c/tflite_types.h
// as compiled into the PyPI wheel that converter/runtimes/tflm/abi.py pins. The wheel ships no
// headers, so an operator library for it is compiled with `-I tflm_custom_ops/tflm/abi`; a
// firmware build puts `-I $TFLM_DIR` there instead and the same operator sources see TFLM's own
// headers. `abi_layout.cc` asserts sizes and offsets against either tree.
//
// Members that the operators never touch are kept as `void*` (or an equally sized type) so that
// the ones they do touch stay at their place.
#ifndef TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_C_COMMON_H_
#define TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_C_COMMON_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef TF_LITE_STATIC_MEMORY
#error "compile with -DTF_LITE_STATIC_MEMORY: TFLM's structs have another layout without it"
#endif

// Says at compile time that these are this project's declarations, not TFLM's.
#define VIT_TFLM_OWN_DECLARATIONS 1

#ifdef __cplusplus
extern "C" {
#endif

// c_api_types.h. The last value fixes the range, in which TFLM also has kTfLiteAbort, 15.
typedef enum TfLiteStatus {
  kTfLiteOk = 0,
  kTfLiteError = 1,
  kTfLiteOutputShapeNotKnown = 9,
} TfLiteStatus;

// tflite_types.h: the tensor types that occur around the operators. The runtime stores others in
// fields of this type, hence the explicit last value, which fixes the range.
typedef enum {
  kTfLiteNoType = 0,
  kTfLiteFloat32 = 1,
  kTfLiteInt32 = 2,
  kTfLiteUInt8 = 3,
  kTfLiteInt64 = 4,
  kTfLiteBool = 6,
  kTfLiteInt16 = 7,
  kTfLiteInt8 = 9,
  kTfLiteFloat8E5M2 = 23,
} TfLiteType;

// common.h: `size` ints follow. Also the memory image of a flatbuffer [int32] vector.
typedef struct TfLiteIntArray {
  int size;
  int data[];
} TfLiteIntArray;

// common.h. Every member is a pointer there; the typed ones are not used here.
typedef union TfLitePtrUnion {
  char* raw;
  uint8_t* uint8;
  int8_t* int8;
  int16_t* i16;
  int32_t* i32;
  void* data;
} TfLitePtrUnion;

// common.h: the only tensor struct that the operators read, in Prepare and in Invoke. `data` is
// NULL in Prepare for every tensor that is not a constant of the model file.
typedef struct TfLiteEvalTensor {
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  TfLiteType type;
} TfLiteEvalTensor;

// common.h, TF_LITE_STATIC_MEMORY flavour.
typedef struct TfLiteNode {
  TfLiteIntArray* inputs;   // tensor indices
  TfLiteIntArray* outputs;  // tensor indices
  TfLiteIntArray* intermediates;
  void* user_data;  // what Init returned; Prepare may change it
  void* builtin_data;
  const void* custom_initial_data;  // custom_options of the operator, unaligned
  int custom_initial_data_size;     // bytes
} TfLiteNode;

// common.h. The function pointers that TFLM leaves NULL are never called by the operators.
// Which of the wheels' contexts is declared (converter/runtimes/tflm/abi.py):
//   1  functions by pointers, as in TFLM's sources until September 2026
//   2  a MicroContext alone, whose virtual functions they are
#ifndef VIT_TFLM_CONTEXT
#define VIT_TFLM_CONTEXT 1
#endif

#if VIT_TFLM_CONTEXT == 1
typedef struct TfLiteContext {
  size_t tensors_size;
  void* GetExecutionPlan;
  void* tensors;
  void* impl_;
  void* ResizeTensor;
  // Goes to MicroPrintf, hence to DebugLog: stderr in the wheel, the console on a device.
  void (*ReportError)(struct TfLiteContext* context, const char* format, ...);
  void* AddTensors;
  void* GetNodeAndRegistration;
  void* ReplaceNodeSubsetsWithDelegateKernels;
  int recommended_num_threads;
  void* GetExternalContext;
  void* SetExternalContext;
  bool allow_fp32_relax_to_fp16;
  void* profiler;
  // Tail of the arena, Init and Prepare only. NULL when the arena is full.
  void* (*AllocatePersistentBuffer)(struct TfLiteContext* context, size_t bytes);
  void* AllocateBufferForEval;
  // Prepare only: a buffer in the planned part of the arena, alive during this node's Invoke.
  TfLiteStatus (*RequestScratchBufferInArena)(struct TfLiteContext* context, size_t bytes,
                                              int* buffer_index);
  // Invoke only.
  void* (*GetScratchBuffer)(struct TfLiteContext* context, int buffer_index);
  void* ResizeTensorExplicit;
  void* PreviewDelegatePartitioning;
  void* GetTensor;
  // Prepare and Invoke. `tensor_index` is an element of node->inputs or node->outputs.
  TfLiteEvalTensor* (*GetEvalTensor)(const struct TfLiteContext* context, int tensor_index);
  void* GetModelMetadata;
  void* AcquireSubgraphContext;
  void* ReleaseSubgraphContext;
} TfLiteContext;
#endif

// common.h: error text through the context, so that it can be stripped from firmware.
#ifndef TF_LITE_STRIP_ERROR_STRINGS
#define TF_LITE_KERNEL_LOG(context, ...)            \
  do {                                              \
    (context)->ReportError((context), __VA_ARGS__); \
  } while (false)
#else
#define TF_LITE_KERNEL_LOG(context, ...) ((void)sizeof(#__VA_ARGS__))
#endif

#ifdef __cplusplus
}  // extern "C"
#endif

#if VIT_TFLM_CONTEXT == 2
#include "tensorflow/lite/c/context_2.h"
#endif
#endif  // TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_C_COMMON_H_
