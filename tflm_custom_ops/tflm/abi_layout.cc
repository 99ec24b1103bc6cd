// SPDX-License-Identifier: Apache-2.0
// Compile-time check that the declarations found on the include path have the layout the operators
// rely on. Compiled into every library for the wheel (own declarations), by the tests also against
// TFLM's real headers where TFLM_DIR names them; the same numbers hold for both, so the two agree.
// Offsets are in pointers, so that 32-bit targets are covered too.
#include <stddef.h>

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_common.h"

#define VIT_AT(type, member, pointers)                                \
  static_assert(offsetof(type, member) == (pointers) * sizeof(void*), \
                #type "." #member " is not where the wheel has it")

VIT_AT(TfLiteEvalTensor, data, 0);
VIT_AT(TfLiteEvalTensor, dims, 1);
VIT_AT(TfLiteEvalTensor, type, 2);
static_assert(sizeof(TfLiteEvalTensor) == 3 * sizeof(void*), "TfLiteEvalTensor size");
// 4 bytes on the host, 1 with the short enums of bare-metal Arm; either way what the header says.
static_assert(sizeof(TfLiteType) <= sizeof(int), "TfLiteType size");
static_assert(offsetof(TfLiteIntArray, data) == sizeof(int), "TfLiteIntArray.data");

VIT_AT(TfLiteNode, inputs, 0);
VIT_AT(TfLiteNode, outputs, 1);
VIT_AT(TfLiteNode, user_data, 3);
VIT_AT(TfLiteNode, custom_initial_data, 5);
VIT_AT(TfLiteNode, custom_initial_data_size, 6);
static_assert(sizeof(TfLiteNode) == 7 * sizeof(void*), "TfLiteNode size");

#if VIT_TFLM_CONTEXT == 2
static_assert(sizeof(TfLiteContext) == sizeof(void*), "TfLiteContext size");
#else  // also TFLM's own headers
VIT_AT(TfLiteContext, ReportError, 5);
VIT_AT(TfLiteContext, AllocatePersistentBuffer, 14);
VIT_AT(TfLiteContext, RequestScratchBufferInArena, 16);
VIT_AT(TfLiteContext, GetScratchBuffer, 17);
VIT_AT(TfLiteContext, GetEvalTensor, 21);
#endif

VIT_AT(TFLMRegistration, init, 0);
VIT_AT(TFLMRegistration, prepare, 2);
VIT_AT(TFLMRegistration, invoke, 3);
VIT_AT(TFLMRegistration, builtin_code, 5);
VIT_AT(TFLMRegistration, custom_name, 6);
static_assert(sizeof(TFLMRegistration) == 7 * sizeof(void*), "TFLMRegistration size");

static_assert(kTfLiteOk == 0 && kTfLiteError == 1, "TfLiteStatus");
static_assert(kTfLiteInt32 == 2 && kTfLiteUInt8 == 3 && kTfLiteInt16 == 7 && kTfLiteInt8 == 9,
              "TfLiteType");
