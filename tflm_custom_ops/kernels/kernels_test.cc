// SPDX-License-Identifier: Apache-2.0
// Runs every kernel on golden cases of the NumPy reference: separate output, output over input
// where the operator allows it, and guards behind the output and the scratch.
#include <cstring>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tflm_custom_ops/kernels/vit_kernels.h"
#include "tflm_custom_ops/kernels/vit_parse.h"

namespace {

struct GoldenCase {
  const char* name;
  int kind;
  const unsigned char* options;
  size_t options_bytes;
  const unsigned char* blob;
  size_t blob_bytes;
  const unsigned char* x;
  size_t x_bytes;
  const unsigned char* y;
  size_t y_bytes;
};

#include "tflm_custom_ops/kernels/golden_data.h"

constexpr size_t kGuardBytes = 64;
constexpr unsigned char kGuard = 0xA5;

// 16-byte aligned memory with a guard behind it.
class Guarded {
 public:
  explicit Guarded(size_t bytes)
      : bytes_(bytes), words_((bytes + kGuardBytes + 15) / 16 * 4 + 4, 0xA5A5A5A5u) {}
  unsigned char* data() {
    const uintptr_t address = reinterpret_cast<uintptr_t>(words_.data());
    return reinterpret_cast<unsigned char*>((address + 15) / 16 * 16);
  }
  bool GuardIsIntact() {
    for (size_t i = 0; i < kGuardBytes; ++i) {
      if (data()[bytes_ + i] != kGuard) return false;
    }
    return true;
  }

 private:
  size_t bytes_;
  std::vector<uint32_t> words_;
};

// Parses the case's options and runs its kernel; returns the parser's status.
VitStatus RunCase(const GoldenCase& c, const void* x, void* y) {
  const auto run = [&](auto params, auto parse, auto scratch_bytes, auto kernel) {
    const VitStatus status = parse(c.options, c.options_bytes, c.blob, c.blob_bytes, &params);
    if (status != kVitOk) return status;
    Guarded scratch(scratch_bytes(&params));
    kernel(&params, x, y, scratch.data());
    EXPECT_TRUE(scratch.GuardIsIntact()) << c.name << ": wrote behind its scratch";
    return status;
  };
  switch (c.kind) {
    case kVitPatchEmbed:
      return run(VitPatchEmbedParams{}, vit_parse_patch_embed, vit_patch_embed_scratch_bytes,
                 [](auto* p, const void* in, void* out, void* scratch) {
                   vit_patch_embed(p, static_cast<const int8_t*>(in), out, scratch);
                 });
    case kVitAttention:
      return run(VitAttentionParams{}, vit_parse_attention, vit_attention_scratch_bytes,
                 vit_attention);
    case kVitMlp:
      return run(VitMlpParams{}, vit_parse_mlp, vit_mlp_scratch_bytes, vit_mlp);
    case kVitLayerNorm:
      return run(VitLayerNormParams{}, vit_parse_layer_norm, vit_layer_norm_scratch_bytes,
                 [](auto* p, const void* in, void* out, void* scratch) {
                   vit_layer_norm(p, in, static_cast<int8_t*>(out), scratch);
                 });
    case kVitGelu:
      return run(
          VitGeluParams{}, vit_parse_gelu, [](const VitGeluParams*) { return size_t{0}; },
          [&](auto* p, const void* in, void* out, void*) {
            vit_gelu(p, static_cast<const int8_t*>(in), static_cast<int8_t*>(out), c.x_bytes);
          });
    default:
      return run(VitLinearOpParams{}, vit_parse_linear, vit_linear_scratch_bytes,
                 [](auto* p, const void* in, void* out, void* scratch) {
                   vit_linear(p, static_cast<const int8_t*>(in), static_cast<int8_t*>(out),
                              scratch);
                 });
  }
}

class GoldenTest : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(GoldenTest, EqualsTheReference) {
  const GoldenCase& c = GetParam();
  Guarded x(c.x_bytes), y(c.y_bytes);
  std::memcpy(x.data(), c.x, c.x_bytes);
  ASSERT_EQ(RunCase(c, x.data(), y.data()), kVitOk);
  EXPECT_EQ(std::memcmp(y.data(), c.y, c.y_bytes), 0);
  EXPECT_EQ(std::memcmp(x.data(), c.x, c.x_bytes), 0) << "the input was changed";
  EXPECT_TRUE(y.GuardIsIntact()) << "wrote behind its output";
}

TEST_P(GoldenTest, OutputMayOverwriteInput) {
  const GoldenCase& c = GetParam();
  if (c.kind == kVitPatchEmbed || c.kind == kVitLinear) GTEST_SKIP() << "may not overlap";
  Guarded x(c.x_bytes > c.y_bytes ? c.x_bytes : c.y_bytes);
  std::memcpy(x.data(), c.x, c.x_bytes);
  ASSERT_EQ(RunCase(c, x.data(), x.data()), kVitOk);
  EXPECT_EQ(std::memcmp(x.data(), c.y, c.y_bytes), 0);
}

TEST_P(GoldenTest, ParserRefusesEveryTruncation) {
  const GoldenCase& c = GetParam();
  GoldenCase cut = c;
  for (cut.options_bytes = 0; cut.options_bytes < c.options_bytes; ++cut.options_bytes) {
    EXPECT_NE(RunCase(cut, nullptr, nullptr), kVitOk) << cut.options_bytes << " bytes";
  }
  cut.blob_bytes = c.blob_bytes / 2 / 4 * 4;
  cut.options_bytes = c.options_bytes;
  EXPECT_EQ(RunCase(cut, nullptr, nullptr), kVitBadOffset);
}

TEST_P(GoldenTest, ParserRefusesForeignHeaders) {
  const GoldenCase& c = GetParam();
  const VitStatus expected[3] = {kVitBadMagic, kVitBadKind, kVitBadVersion};
  for (int word = 0; word < 3; ++word) {
    std::vector<unsigned char> options(c.options, c.options + c.options_bytes);
    options[static_cast<size_t>(word) * 4] ^= 0x40;
    GoldenCase foreign = c;
    foreign.options = options.data();
    EXPECT_EQ(RunCase(foreign, nullptr, nullptr), expected[word]) << "word " << word;
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, GoldenTest, ::testing::ValuesIn(kGoldenCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(StatusMessage, NamesEveryStatus) {
  for (int status = 0; status < kVitStatusCount; ++status) {
    EXPECT_GT(std::strlen(vit_status_message(static_cast<VitStatus>(status))), 0u);
  }
}

}  // namespace
