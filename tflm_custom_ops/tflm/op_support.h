// SPDX-License-Identifier: Apache-2.0
// What the fused operators have in common as TFLM operators.
//
// An operator is a struct `Op` with
//   using Params = ...;                      the kernel's parameter struct
//   static constexpr int kInputs = ...;      activations that it reads
//   static constexpr const char* kName;      custom code, used in messages
//   static VitStatus Parse(...);             from vit_parse.h
//   static VitStatus CheckSums(const Params&);    from vit_parse.h: reads all weights, once
//   static TfLiteStatus Check(const TensorChecker&, const Params&);   types and shapes
//   static size_t ScratchBytes(const Params&);
//   static TfLiteStatus Run(const Params&, const OpBuffers&, TfLiteContext*);
//
// Nothing of an operator lives in persistent memory (but see vit_patch_embed.cc): Prepare leaves
// the scratch index in the node's user_data pointer, and Invoke parses the options again (a few
// hundred words, against millions of multiplications).
#ifndef TFLM_CUSTOM_OPS_TFLM_OP_SUPPORT_H_
#define TFLM_CUSTOM_OPS_TFLM_OP_SUPPORT_H_

#include <stddef.h>
#include <stdint.h>

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_common.h"
#include "tflm_custom_ops/kernels/vit_parse.h"

namespace tflm_vit {

constexpr int kMaxInputs = 3;

// Every operator has inputs [x..., blob] and output [y] (docs/operators.md, Encoding).
struct OpTensors {
  const TfLiteEvalTensor* x[kMaxInputs];
  int inputs;
  const TfLiteEvalTensor* blob;  // constant uint8: weights, biases, multipliers, tables
  const TfLiteEvalTensor* y;
};

// Addresses at Invoke. `scratch` is NULL for an operator that asked for none.
struct OpBuffers {
  const void* x[kMaxInputs];
  int inputs;
  void* y;
  void* scratch;
  size_t x_bytes[kMaxInputs];
  size_t y_bytes;
};

// Element and byte counts of a tensor with positive dimensions; 0 if a dimension is not positive
// or the count exceeds 2^31 - 1. `type` int16 counts two bytes, anything else one.
int64_t ElementCount(const TfLiteEvalTensor* tensor);
size_t TensorBytes(const TfLiteEvalTensor* tensor);

// kTfLiteInt8 or kTfLiteInt16 for a stream of 8 or 16 bits.
TfLiteType StreamType(int32_t bits);

// Finds and checks the tensors of a node with so many inputs. `preparing`: Prepare, where
// activations have no address.
TfLiteStatus GetOpTensors(TfLiteContext* context, const TfLiteNode* node, const char* op_name,
                          int inputs, bool preparing, OpTensors* tensors);

// Reports and returns kTfLiteError unless `status` is kVitOk.
TfLiteStatus CheckParsed(TfLiteContext* context, const char* op_name, VitStatus status);

// Requests `bytes` of scratch and keeps its index in the node; 0 bytes request nothing.
TfLiteStatus RequestScratch(TfLiteContext* context, TfLiteNode* node, const char* op_name,
                            size_t bytes);

// Finds the addresses for Invoke and checks that inputs, y and scratch have them, 4-byte aligned.
TfLiteStatus GetOpBuffers(TfLiteContext* context, const TfLiteNode* node, const char* op_name,
                          const OpTensors& tensors, OpBuffers* buffers);

// Compares tensors with what the parameters imply; the first mismatch is reported.
class TensorChecker {
 public:
  TensorChecker(TfLiteContext* context, const char* op_name, const OpTensors& tensors)
      : context_(context), op_name_(op_name), tensors_(tensors) {}

  const OpTensors& tensors() const { return tensors_; }

  // x (y) has `type`, rows * columns elements, and `columns` as its last dimension.
  TfLiteStatus Input(TfLiteType type, int64_t rows, int32_t columns) const {
    return Matrix("input", tensors_.x[0], type, rows, columns);
  }
  TfLiteStatus Output(TfLiteType type, int64_t rows, int32_t columns) const {
    return Matrix("output", tensors_.y, type, rows, columns);
  }
  // An input (the output) has `type` and so many elements, in any shape.
  TfLiteStatus Input(int number, const char* name, TfLiteType type, int64_t elements) const {
    return Elements(name, tensors_.x[number], type, elements);
  }
  TfLiteStatus Output(TfLiteType type, int64_t elements) const {
    return Elements("output", tensors_.y, type, elements);
  }
  // x and y have `type` and the same rows and columns.
  TfLiteStatus SameShape(TfLiteType type) const;
  // x is an int8 image [1, height, width, channels] (the leading 1 may be absent).
  TfLiteStatus Image(int32_t height, int32_t width, int32_t channels) const;

 private:
  TfLiteStatus Type(const char* role, const TfLiteEvalTensor* tensor, TfLiteType type) const;
  TfLiteStatus Elements(const char* role, const TfLiteEvalTensor* tensor, TfLiteType type,
                        int64_t elements) const;
  TfLiteStatus Matrix(const char* role, const TfLiteEvalTensor* tensor, TfLiteType type,
                      int64_t rows, int32_t columns) const;

  TfLiteContext* context_;
  const char* op_name_;
  const OpTensors& tensors_;
};

// kTfLiteError, with a message, when y and an input overlap; for operators whose output may
// overwrite the first input (`may_be_same`), in any other way than starting at the same address.
TfLiteStatus CheckOverlap(TfLiteContext* context, const char* op_name, const OpBuffers& buffers,
                          bool may_be_same);

template <class Op>
TfLiteStatus ParseNode(TfLiteContext* context, const TfLiteNode* node, const OpTensors& tensors,
                       typename Op::Params* params) {
  const uint8_t* options = static_cast<const uint8_t*>(node->custom_initial_data);
  const size_t options_bytes =
      options == nullptr ? 0 : static_cast<size_t>(node->custom_initial_data_size);
  return CheckParsed(context, Op::kName,
                     Op::Parse(options, options_bytes, tensors.blob->data.uint8,
                               TensorBytes(tensors.blob), params));
}

template <class Op>
TfLiteStatus PrepareOp(TfLiteContext* context, TfLiteNode* node) {
  OpTensors tensors;
  if (GetOpTensors(context, node, Op::kName, Op::kInputs, true, &tensors) != kTfLiteOk)
    return kTfLiteError;
  typename Op::Params params;
  if (ParseNode<Op>(context, node, tensors, &params) != kTfLiteOk) return kTfLiteError;
  const TensorChecker checker(context, Op::kName, tensors);
  if (Op::Check(checker, params) != kTfLiteOk) return kTfLiteError;
  if (CheckParsed(context, Op::kName, Op::CheckSums(params)) != kTfLiteOk) return kTfLiteError;
  return RequestScratch(context, node, Op::kName, Op::ScratchBytes(params));
}

// The first half of Invoke: everything that Op::Run needs.
template <class Op>
TfLiteStatus LoadOp(TfLiteContext* context, const TfLiteNode* node, OpTensors* tensors,
                    typename Op::Params* params, OpBuffers* buffers) {
  if (GetOpTensors(context, node, Op::kName, Op::kInputs, false, tensors) != kTfLiteOk)
    return kTfLiteError;
  if (ParseNode<Op>(context, node, *tensors, params) != kTfLiteOk) return kTfLiteError;
  return GetOpBuffers(context, node, Op::kName, *tensors, buffers);
}

template <class Op>
TfLiteStatus InvokeOp(TfLiteContext* context, TfLiteNode* node) {
  OpTensors tensors;
  typename Op::Params params;
  OpBuffers buffers;
  if (LoadOp<Op>(context, node, &tensors, &params, &buffers) != kTfLiteOk) return kTfLiteError;
  return Op::Run(params, buffers, context);
}

template <class Op>
const TFLMRegistration* RegistrationOf() {
  static const TFLMRegistration registration = {nullptr, nullptr, PrepareOp<Op>, InvokeOp<Op>,
                                                nullptr, 0,       nullptr};
  return &registration;
}

}  // namespace tflm_vit

#endif  // TFLM_CUSTOM_OPS_TFLM_OP_SUPPORT_H_
