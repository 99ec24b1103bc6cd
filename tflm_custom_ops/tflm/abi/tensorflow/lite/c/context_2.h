// SPDX-License-Identifier: Apache-2.0
// The context of the wheels since October 2026 (own text; included by common.h): one pointer to a
// MicroContext. Operators call the same functions of a context as before; here they lead there.
#ifndef TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_C_CONTEXT_2_H_
#define TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_C_CONTEXT_2_H_

#include <stdarg.h>
#include <stdio.h>

namespace tflm_vit {

// The wheel's virtual functions, in its order; only their places matter. Never made here.
class WheelContext {
 public:
  WheelContext() = delete;
  virtual ~WheelContext() = 0;
  virtual void* AllocatePersistentBuffer(size_t bytes) = 0;
  virtual TfLiteStatus RequestScratchBufferInArena(size_t bytes, int* index) = 0;
  virtual void* GetScratchBuffer(int index) = 0;
  virtual void* AllocateTempTfLiteTensor(int index) = 0;
  virtual void DeallocateTempTfLiteTensor(void* tensor) = 0;
  virtual uint8_t* AllocateTempBuffer(size_t bytes, size_t alignment) = 0;
  virtual void DeallocateTempBuffer(uint8_t* buffer) = 0;
  virtual TfLiteEvalTensor* GetEvalTensor(int index) = 0;
};

}  // namespace tflm_vit

struct TfLiteContext {
  tflm_vit::WheelContext* impl_;

  void* AllocatePersistentBuffer(TfLiteContext* context, size_t bytes) {
    return context->impl_->AllocatePersistentBuffer(bytes);
  }
  TfLiteStatus RequestScratchBufferInArena(TfLiteContext* context, size_t bytes, int* index) {
    return context->impl_->RequestScratchBufferInArena(bytes, index);
  }
  void* GetScratchBuffer(TfLiteContext* context, int index) {
    return context->impl_->GetScratchBuffer(index);
  }
  TfLiteEvalTensor* GetEvalTensor(const TfLiteContext* context, int index) const {
    return context->impl_->GetEvalTensor(index);
  }
  // The wheel's own function is not visible to other libraries. It prints the same.
  __attribute__((format(printf, 3, 4))) void ReportError(TfLiteContext*, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("\r\n", stderr);
  }
};

#endif  // TFLM_CUSTOM_OPS_TFLM_ABI_TENSORFLOW_LITE_C_CONTEXT_2_H_
