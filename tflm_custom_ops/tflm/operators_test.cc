// SPDX-License-Identifier: Apache-2.0
// The operators through TFLM's kernel interface, with a context of the test's own: what an
// interpreter does in Prepare and Invoke, on the smallest operator; the Python tests run all of
// them in the wheel.
#include <stdarg.h>
#include <string.h>

#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tflm_custom_ops/kernels/vit_types.h"
#include "tflm_custom_ops/tflm/op_support.h"
#include "tflm_custom_ops/tflm/test_console.h"
#include "tflm_custom_ops/tflm/vit_tflm_ops.h"

namespace tflm_vit {
namespace {

// TfLiteIntArray with storage.
class Ints {
 public:
  explicit Ints(const std::vector<int>& values) : words_(values.size() + 1) {
    words_[0] = static_cast<int>(values.size());
    for (size_t i = 0; i < values.size(); ++i) words_[i + 1] = values[i];
  }
  TfLiteIntArray* get() { return reinterpret_cast<TfLiteIntArray*>(words_.data()); }

 private:
  std::vector<int> words_;
};

void Report(TfLiteContext*, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  AppendConsoleText(format, arguments);
  va_end(arguments);
}

// A context with tensors 0 (x), 1 (blob), 2 (y) around one node.
class OneNode {
 public:
  OneNode(const std::vector<int>& shape, std::vector<int32_t> options)
      : x_dims_(shape), y_dims_(shape), blob_dims_({256}), options_(std::move(options)) {
    TakeConsoleText();
    context_.impl_ = this;
    context_.ReportError = Report;
    context_.GetEvalTensor = [](const TfLiteContext* context, int index) {
      return &static_cast<OneNode*>(context->impl_)->tensors_[index];
    };
    context_.RequestScratchBufferInArena = [](TfLiteContext* context, size_t bytes, int* index) {
      OneNode* self = static_cast<OneNode*>(context->impl_);
      if (self->scratch_fails) return kTfLiteError;
      *index = 3;
      self->scratch_.resize(bytes);
      return kTfLiteOk;
    };
    context_.GetScratchBuffer = [](TfLiteContext* context, int index) -> void* {
      return index == 3 ? static_cast<OneNode*>(context->impl_)->scratch_.data() : nullptr;
    };
    for (int i = 0; i < 256; ++i) blob_[i] = static_cast<uint8_t>(i * 3);
    tensors_[0].type = tensors_[2].type = kTfLiteInt8;
    tensors_[0].dims = x_dims_.get();
    tensors_[2].dims = y_dims_.get();
    tensors_[1].type = kTfLiteUInt8;
    tensors_[1].dims = blob_dims_.get();
    tensors_[1].data.raw = reinterpret_cast<char*>(blob_);
    node_.inputs = inputs_.get();
    node_.outputs = outputs_.get();
    node_.custom_initial_data = options_.data();
    node_.custom_initial_data_size = static_cast<int>(4 * options_.size());
  }

  TfLiteEvalTensor* tensor(int index) { return &tensors_[index]; }
  TfLiteNode* node() { return &node_; }
  uint8_t* blob() { return blob_; }
  TfLiteContext* context() { return &context_; }

  TfLiteStatus Prepare(const TFLMRegistration* op) { return op->prepare(&context_, &node_); }
  TfLiteStatus Invoke(const TFLMRegistration* op, int8_t* x, int8_t* y) {
    tensors_[0].data.raw = reinterpret_cast<char*>(x);
    tensors_[2].data.raw = reinterpret_cast<char*>(y);
    return op->invoke(&context_, &node_);
  }

  bool scratch_fails = false;

 private:
  alignas(16) uint8_t blob_[256];
  Ints x_dims_;
  Ints y_dims_;
  Ints blob_dims_;
  Ints inputs_ = Ints({0, 1});
  Ints outputs_ = Ints({2});
  std::vector<int32_t> options_;
  std::vector<uint8_t> scratch_;
  TfLiteEvalTensor tensors_[3] = {};
  TfLiteNode node_ = {};
  TfLiteContext context_ = {};
};

// A table operator whose table is the start of the blob.
std::vector<int32_t> GeluOptions() {
  return {VIT_OPTIONS_MAGIC, kVitGelu, VIT_OPTIONS_VERSION, VIT_OPTIONS_HEADER_WORDS + 1, 0};
}

void ExpectPrepareFails(OneNode* node, const std::string& text) {
  EXPECT_EQ(node->Prepare(RegisterVitGelu()), kTfLiteError);
  const std::string printed = TakeConsoleText();
  EXPECT_NE(printed.find(text), std::string::npos) << printed;
}

TEST(OperatorsTest, TableIsAppliedInPlaceToo) {
  OneNode node({1, 5}, GeluOptions());
  ASSERT_EQ(node.Prepare(RegisterVitGelu()), kTfLiteOk) << TakeConsoleText();
  alignas(16) int8_t x[5] = {-128, -1, 0, 1, 127};
  alignas(16) int8_t y[5] = {};
  int8_t expected[5];
  for (int i = 0; i < 5; ++i) expected[i] = static_cast<int8_t>(node.blob()[x[i] + 128]);
  ASSERT_EQ(node.Invoke(RegisterVitGelu(), x, y), kTfLiteOk) << TakeConsoleText();
  EXPECT_EQ(memcmp(y, expected, sizeof(y)), 0);
  ASSERT_EQ(node.Invoke(RegisterVitGelu(), x, x), kTfLiteOk);
  EXPECT_EQ(memcmp(x, expected, sizeof(x)), 0);
}

TEST(OperatorsTest, InvokeRefusesMisalignedAndMissingBuffers) {
  OneNode node({1, 5}, GeluOptions());
  ASSERT_EQ(node.Prepare(RegisterVitGelu()), kTfLiteOk);
  alignas(16) int8_t memory[32] = {};
  EXPECT_EQ(node.Invoke(RegisterVitGelu(), memory, memory + 18), kTfLiteError);
  EXPECT_NE(TakeConsoleText().find("multiple of 4 bytes"), std::string::npos);
  EXPECT_EQ(node.Invoke(RegisterVitGelu(), memory, memory + 4), kTfLiteError);
  EXPECT_NE(TakeConsoleText().find("overlaps input and output"), std::string::npos);
  EXPECT_EQ(node.Invoke(RegisterVitGelu(), memory, nullptr), kTfLiteError);
  EXPECT_NE(TakeConsoleText().find("no address"), std::string::npos);
}

TEST(OperatorsTest, PrepareRefusesMalformedNodes) {
  std::vector<int32_t> other_kind = GeluOptions();
  other_kind[1] = kVitMlp;
  OneNode kind({1, 5}, other_kind);
  ExpectPrepareFails(&kind, "VitGelu: options: ");

  std::vector<int32_t> outside = GeluOptions();
  outside[4] = 4;
  OneNode table({1, 5}, outside);
  ExpectPrepareFails(&table, "VitGelu: options: ");

  OneNode no_options({1, 5}, GeluOptions());
  no_options.node()->custom_initial_data = nullptr;
  no_options.node()->custom_initial_data_size = 0;
  ExpectPrepareFails(&no_options, "VitGelu: options: ");

  OneNode type({1, 5}, GeluOptions());
  type.tensor(0)->type = kTfLiteInt16;
  ExpectPrepareFails(&type, "input: got int16, expected int8");

  OneNode blob_type({1, 5}, GeluOptions());
  blob_type.tensor(1)->type = kTfLiteInt8;
  ExpectPrepareFails(&blob_type, "blob: got int8");

  OneNode variable_blob({1, 5}, GeluOptions());
  variable_blob.tensor(1)->data.raw = nullptr;
  ExpectPrepareFails(&variable_blob, "not a constant");

  OneNode misaligned_blob({1, 5}, GeluOptions());
  misaligned_blob.tensor(1)->data.raw += 2;
  ExpectPrepareFails(&misaligned_blob, "multiple of 4 bytes");

  OneNode shape({1, 5}, GeluOptions());
  Ints four({1, 4});
  shape.tensor(2)->dims = four.get();
  ExpectPrepareFails(&shape, "output: got 4 elements with a last dimension of 4, expected 1 rows");

  OneNode huge({1 << 20, 1 << 20}, GeluOptions());
  EXPECT_EQ(ElementCount(huge.tensor(0)), 0);

  OneNode inputs({1, 5}, GeluOptions());
  Ints one({0});
  inputs.node()->inputs = one.get();
  ExpectPrepareFails(&inputs, "got 1 inputs and 1 outputs");
}

TEST(OperatorsTest, ScratchIndexIsKeptInTheNodeAlone) {
  OneNode node({1, 5}, GeluOptions());
  ASSERT_EQ(RequestScratch(node.context(), node.node(), "test", 40), kTfLiteOk);
  const OpTensors tensors = {{node.tensor(0)}, 1, node.tensor(1), node.tensor(2)};
  alignas(16) int8_t memory[16] = {};
  node.tensor(0)->data.int8 = node.tensor(2)->data.int8 = memory;
  OpBuffers buffers;
  ASSERT_EQ(GetOpBuffers(node.context(), node.node(), "test", tensors, &buffers), kTfLiteOk);
  EXPECT_NE(buffers.scratch, nullptr);
  ASSERT_EQ(RequestScratch(node.context(), node.node(), "test", 0), kTfLiteOk);
  ASSERT_EQ(GetOpBuffers(node.context(), node.node(), "test", tensors, &buffers), kTfLiteOk);
  EXPECT_EQ(buffers.scratch, nullptr);
  node.scratch_fails = true;
  EXPECT_EQ(RequestScratch(node.context(), node.node(), "test", 40), kTfLiteError);
  EXPECT_NE(TakeConsoleText().find("test: no room to request 40 bytes"), std::string::npos);
}

// The names are part of the file format; AddVitOps stops at the first failure.
struct FakeResolver {
  std::vector<std::string> names;
  size_t room = std::size(kVitOps);
  TfLiteStatus AddCustom(const char* name, const TFLMRegistration* registration) {
    if (names.size() == room || registration->prepare == nullptr) return kTfLiteError;
    names.push_back(name);
    return kTfLiteOk;
  }
};

TEST(OperatorsTest, AllOperatorsAreAdded) {
  FakeResolver resolver;
  EXPECT_EQ(AddVitOps(&resolver), kTfLiteOk);
  ASSERT_EQ(resolver.names.size(), std::size(kVitOps));
  EXPECT_EQ(resolver.names[0], "VitPatchEmbed");
  const std::set<std::string> distinct(resolver.names.begin(), resolver.names.end());
  EXPECT_EQ(distinct.size(), resolver.names.size());
  FakeResolver small;
  small.room = 3;
  EXPECT_EQ(AddVitOps(&small), kTfLiteError);
}

}  // namespace
}  // namespace tflm_vit
