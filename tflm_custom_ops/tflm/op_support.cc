// SPDX-License-Identifier: Apache-2.0
#include "tflm_custom_ops/tflm/op_support.h"

namespace tflm_vit {
// What only messages use is [[maybe_unused]]: TFLM's release builds strip them.
namespace {

constexpr uintptr_t kAlignment = 4;  // bytes, what vit_parse.h asks of the blob

bool IsAligned(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % kAlignment == 0;
}

[[maybe_unused]] const char* TypeName(TfLiteType type) {
  switch (type) {
    case kTfLiteInt8:
      return "int8";
    case kTfLiteInt16:
      return "int16";
    case kTfLiteUInt8:
      return "uint8";
    case kTfLiteInt32:
      return "int32";
    case kTfLiteFloat32:
      return "float32";
    default:
      return "another type";
  }
}

int LastDimension(const TfLiteEvalTensor* tensor) {
  const int rank = tensor->dims->size;
  return rank > 0 ? tensor->dims->data[rank - 1] : 1;
}

// A saturated int for messages: TFLM's printf on a device has no %lld.
[[maybe_unused]] int ForMessage(int64_t value) {
  return value > INT32_MAX ? INT32_MAX : static_cast<int>(value);
}

}  // namespace

int64_t ElementCount(const TfLiteEvalTensor* tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor->dims->size; ++i) {
    const int dimension = tensor->dims->data[i];
    if (dimension <= 0) return 0;
    count *= dimension;
    if (count > INT32_MAX) return 0;
  }
  return count;
}

size_t TensorBytes(const TfLiteEvalTensor* tensor) {
  const size_t count = static_cast<size_t>(ElementCount(tensor));
  return tensor->type == kTfLiteInt16 ? 2 * count : count;
}

TfLiteType StreamType(int32_t bits) { return bits == 16 ? kTfLiteInt16 : kTfLiteInt8; }

TfLiteStatus GetOpTensors(TfLiteContext* context, const TfLiteNode* node,
                          [[maybe_unused]] const char* op_name, int inputs, bool preparing,
                          OpTensors* tensors) {
  if (node->inputs == nullptr || node->outputs == nullptr || node->inputs->size != inputs + 1 ||
      node->outputs->size != 1) {
    TF_LITE_KERNEL_LOG(context,
                       "%s: got %d inputs and %d outputs, expected %d (the last a blob) and 1",
                       op_name, node->inputs == nullptr ? 0 : node->inputs->size,
                       node->outputs == nullptr ? 0 : node->outputs->size, inputs + 1);
    return kTfLiteError;
  }
  bool is_omitted = node->outputs->data[0] < 0;
  for (int i = 0; i <= inputs; ++i) is_omitted = is_omitted || node->inputs->data[i] < 0;
  if (is_omitted) {
    TF_LITE_KERNEL_LOG(context, "%s: got an omitted tensor, expected all inputs and the output",
                       op_name);
    return kTfLiteError;
  }
  tensors->inputs = inputs;
  for (int i = 0; i < inputs; ++i) {
    tensors->x[i] = context->GetEvalTensor(context, node->inputs->data[i]);
  }
  tensors->blob = context->GetEvalTensor(context, node->inputs->data[inputs]);
  tensors->y = context->GetEvalTensor(context, node->outputs->data[0]);
  if (tensors->blob->type != kTfLiteUInt8 || tensors->blob->data.raw == nullptr ||
      !IsAligned(tensors->blob->data.raw)) {
    TF_LITE_KERNEL_LOG(
        context, "%s: blob: got %s, %s, expected constant uint8 data on a multiple of 4 bytes",
        op_name, TypeName(tensors->blob->type),
        tensors->blob->data.raw == nullptr ? "not a constant" : "its address may be misaligned");
    return kTfLiteError;
  }
  if (preparing && tensors->y->data.raw != nullptr) {
    TF_LITE_KERNEL_LOG(context, "%s: output: got a constant tensor, expected an activation",
                       op_name);
    return kTfLiteError;
  }
  return kTfLiteOk;
}

TfLiteStatus CheckParsed([[maybe_unused]] TfLiteContext* context,
                         [[maybe_unused]] const char* op_name, VitStatus status) {
  if (status == kVitOk) return kTfLiteOk;
  TF_LITE_KERNEL_LOG(context, "%s: options: %s", op_name, vit_status_message(status));
  return kTfLiteError;
}

TfLiteStatus RequestScratch(TfLiteContext* context, TfLiteNode* node,
                            [[maybe_unused]] const char* op_name, size_t bytes) {
  int index = -1;
  if (bytes > 0 && context->RequestScratchBufferInArena(context, bytes, &index) != kTfLiteOk) {
    TF_LITE_KERNEL_LOG(context, "%s: no room to request %d bytes of scratch", op_name,
                       ForMessage(static_cast<int64_t>(bytes)));
    return kTfLiteError;
  }
  node->user_data = reinterpret_cast<void*>(static_cast<intptr_t>(index + 1));
  return kTfLiteOk;
}

TfLiteStatus GetOpBuffers(TfLiteContext* context, const TfLiteNode* node,
                          [[maybe_unused]] const char* op_name, const OpTensors& tensors,
                          OpBuffers* buffers) {
  const intptr_t index = reinterpret_cast<intptr_t>(node->user_data) - 1;
  buffers->inputs = tensors.inputs;
  bool has_addresses = true, is_aligned = true;
  for (int i = 0; i < tensors.inputs; ++i) {
    buffers->x[i] = tensors.x[i]->data.raw;
    buffers->x_bytes[i] = TensorBytes(tensors.x[i]);
    has_addresses = has_addresses && buffers->x[i] != nullptr;
    is_aligned = is_aligned && IsAligned(buffers->x[i]);
  }
  buffers->y = tensors.y->data.raw;
  buffers->scratch =
      index < 0 ? nullptr : context->GetScratchBuffer(context, static_cast<int>(index));
  buffers->y_bytes = TensorBytes(tensors.y);
  if (!has_addresses || buffers->y == nullptr || (index >= 0 && !buffers->scratch)) {
    TF_LITE_KERNEL_LOG(context, "%s: a buffer has no address; was Prepare skipped?", op_name);
    return kTfLiteError;
  }
  if (!is_aligned || !IsAligned(buffers->y) || !IsAligned(buffers->scratch)) {
    TF_LITE_KERNEL_LOG(context,
                       "%s: got a buffer that is not on a multiple of 4 bytes; the "
                       "arena or its plan is misaligned",
                       op_name);
    return kTfLiteError;
  }
  return kTfLiteOk;
}

TfLiteStatus TensorChecker::Type([[maybe_unused]] const char* role, const TfLiteEvalTensor* tensor,
                                 TfLiteType type) const {
  if (tensor->type == type) return kTfLiteOk;
  TF_LITE_KERNEL_LOG(context_, "%s: %s: got %s, expected %s", op_name_, role,
                     TypeName(tensor->type), TypeName(type));
  return kTfLiteError;
}

TfLiteStatus TensorChecker::Elements(const char* role, const TfLiteEvalTensor* tensor,
                                     TfLiteType type, int64_t elements) const {
  if (Type(role, tensor, type) != kTfLiteOk) return kTfLiteError;
  const int64_t count = ElementCount(tensor);
  if (count == elements) return kTfLiteOk;
  TF_LITE_KERNEL_LOG(context_, "%s: %s: got %d elements, expected %d", op_name_, role,
                     ForMessage(count), ForMessage(elements));
  return kTfLiteError;
}

TfLiteStatus TensorChecker::Matrix(const char* role, const TfLiteEvalTensor* tensor,
                                   TfLiteType type, int64_t rows, int32_t columns) const {
  if (Type(role, tensor, type) != kTfLiteOk) return kTfLiteError;
  const int64_t count = ElementCount(tensor);
  if (count != rows * columns || LastDimension(tensor) != columns) {
    TF_LITE_KERNEL_LOG(
        context_, "%s: %s: got %d elements with a last dimension of %d, expected %d rows of %d",
        op_name_, role, ForMessage(count), LastDimension(tensor), ForMessage(rows),
        static_cast<int>(columns));
    return kTfLiteError;
  }
  return kTfLiteOk;
}

TfLiteStatus TensorChecker::SameShape(TfLiteType type) const {
  const TfLiteIntArray* dims = tensors_.x[0]->dims;
  const int32_t columns = dims->size > 0 ? dims->data[dims->size - 1] : 1;
  const int64_t rows = columns > 0 ? ElementCount(tensors_.x[0]) / columns : 0;
  const TfLiteStatus status = Input(type, rows, columns);
  return status != kTfLiteOk ? status : Output(type, rows, columns);
}

TfLiteStatus TensorChecker::Image(int32_t height, int32_t width, int32_t channels) const {
  const TfLiteIntArray* dims = tensors_.x[0]->dims;
  const int rank = dims->size;
  const bool has_batch = rank == 4 && dims->data[0] == 1;
  if ((rank != 3 && !has_batch) || dims->data[rank - 3] != height ||
      dims->data[rank - 2] != width) {
    TF_LITE_KERNEL_LOG(context_, "%s: input: got rank %d, expected an image [1, %d, %d, %d]",
                       op_name_, rank, static_cast<int>(height), static_cast<int>(width),
                       static_cast<int>(channels));
    return kTfLiteError;
  }
  return Matrix("input", tensors_.x[0], kTfLiteInt8, static_cast<int64_t>(height) * width,
                channels);
}

TfLiteStatus CheckOverlap([[maybe_unused]] TfLiteContext* context,
                          [[maybe_unused]] const char* op_name, const OpBuffers& buffers,
                          bool may_be_same) {
  const uintptr_t y = reinterpret_cast<uintptr_t>(buffers.y);
  bool overlaps = false;
  for (int i = 0; i < buffers.inputs; ++i) {
    const uintptr_t x = reinterpret_cast<uintptr_t>(buffers.x[i]);
    const bool is_apart = x + buffers.x_bytes[i] <= y || y + buffers.y_bytes <= x;
    overlaps = overlaps || !(is_apart || (may_be_same && i == 0 && x == y));
  }
  if (!overlaps) return kTfLiteOk;
  TF_LITE_KERNEL_LOG(context, "%s: the memory plan overlaps input and output, expected %s", op_name,
                     may_be_same ? "the same address or none in common" : "none in common");
  return kTfLiteError;
}

}  // namespace tflm_vit
