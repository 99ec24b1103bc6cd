// SPDX-License-Identifier: Apache-2.0
// The planner through the MicroMemoryPlanner interface, as TFLM's allocator uses it.
#include "tflm_custom_ops/tflm/planned_memory_planner.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tflm_custom_ops/tflm/test_console.h"

namespace tflm_vit {
namespace {

constexpr int kHeader = 6;
constexpr int kRegions = 2;
const char kModel[] = "123456789";  // CRC-32 0xcbf43926, the check value of the algorithm

// Three tensors and a scratch buffer: y (1) takes over x (0) exactly, z (2) overlaps y in part with
// permission, the scratch (3) lies in region 1.
std::vector<int32_t> Plan() {
  return {0x31504d56, 1,  kRegions, 4, 9,  static_cast<int32_t>(0xcbf43926u),
          256,        64,                        // bytes used
          100,        0,  1,        0, 0,  -1,   // x
          100,        1,  2,        0, 0,  0,    // y
          90,         2,  3,        0, 32, 1,    // z
          64,         2,  2,        1, 0,  -1};  // scratch
}

int32_t& Field(std::vector<int32_t>* plan, int buffer, int field) {
  return (*plan)[static_cast<size_t>(kHeader + kRegions + 6 * buffer + field)];
}

class PlannedMemoryPlannerTest : public testing::Test {
 protected:
  PlannedMemoryPlannerTest() { TakeConsoleText(); }

  PlannedMemoryPlanner Make(const std::vector<int32_t>& plan, int regions = kRegions) {
    return PlannedMemoryPlanner(plan.data(), plan.size(), regions_, regions);
  }

  // What TFLM's allocator does for the model that Plan() was made for.
  static TfLiteStatus AddAll(tflite::MicroMemoryPlanner* planner) {
    TfLiteStatus status = planner->Init(nullptr, 0);
    if (status == kTfLiteOk) status = planner->AddBuffer(112, 0, 1);
    if (status == kTfLiteOk) status = planner->AddBuffer(112, 1, 2);
    if (status == kTfLiteOk) status = planner->AddBuffer(96, 2, 3);
    if (status == kTfLiteOk) status = planner->AddBuffer(64, 2, 2);
    return status;
  }

  void ExpectRefused(const std::vector<int32_t>& plan, const std::string& text) {
    PlannedMemoryPlanner planner = Make(plan);
    EXPECT_EQ(planner.CheckPlan(), kTfLiteError);
    EXPECT_EQ(planner.Init(nullptr, 0), kTfLiteError);
    const std::string printed = TakeConsoleText();
    EXPECT_NE(printed.find(text), std::string::npos) << printed;
  }

  alignas(16) uint8_t memory_[1024];
  const MemoryRegion regions_[kRegions] = {{memory_, 256}, {memory_ + 512, 128}};
};

TEST_F(PlannedMemoryPlannerTest, PlacesEveryBufferInItsRegion) {
  const std::vector<int32_t> plan = Plan();
  PlannedMemoryPlanner planner = Make(plan);
  ASSERT_EQ(AddAll(&planner), kTfLiteOk) << TakeConsoleText();
  EXPECT_EQ(planner.GetBufferCount(), 4);
  EXPECT_EQ(planner.GetMaximumMemorySize(), 256u);
  EXPECT_FALSE(planner.preserves_all_tensors());
  const int expected[] = {0, 0, 32, 512};
  for (int i = 0; i < 4; ++i) {
    int offset = -1;
    ASSERT_EQ(planner.GetOffsetForBuffer(i, &offset), kTfLiteOk);
    EXPECT_EQ(offset, expected[i]) << i;
  }
}

TEST_F(PlannedMemoryPlannerTest, RegionMayLieBelowTheArena) {
  const std::vector<int32_t> plan = Plan();
  const MemoryRegion swapped[] = {{memory_ + 512, 256}, {memory_, 128}};
  PlannedMemoryPlanner planner(plan.data(), plan.size(), swapped, kRegions);
  ASSERT_EQ(AddAll(&planner), kTfLiteOk);
  int offset = 0;
  ASSERT_EQ(planner.GetOffsetForBuffer(3, &offset), kTfLiteOk);
  EXPECT_EQ(offset, -512);
}

TEST_F(PlannedMemoryPlannerTest, OffsetsOfTheModelFileAreIgnored) {
  const std::vector<int32_t> plan = Plan();
  PlannedMemoryPlanner planner = Make(plan);
  ASSERT_EQ(planner.Init(nullptr, 0), kTfLiteOk);
  EXPECT_EQ(planner.AddBuffer(112, 0, 1, 4096), kTfLiteOk);
  EXPECT_EQ(planner.AddBuffer(112, 0, 1, 4096), kTfLiteError) << "not the next buffer of the plan";
}

TEST_F(PlannedMemoryPlannerTest, InitStartsOver) {
  const std::vector<int32_t> plan = Plan();
  PlannedMemoryPlanner planner = Make(plan);
  ASSERT_EQ(AddAll(&planner), kTfLiteOk);
  ASSERT_EQ(AddAll(&planner), kTfLiteOk);
  EXPECT_EQ(planner.GetBufferCount(), 4);
}

TEST_F(PlannedMemoryPlannerTest, RefusesAnotherModelsBuffers) {
  const std::vector<int32_t> plan = Plan();
  const int other[][3] = {{128, 0, 1}, {112, 1, 1}, {112, 0, 2}};
  for (const auto& buffer : other) {
    PlannedMemoryPlanner planner = Make(plan);
    ASSERT_EQ(planner.Init(nullptr, 0), kTfLiteOk);
    EXPECT_EQ(planner.AddBuffer(buffer[0], buffer[1], buffer[2]), kTfLiteError);
    EXPECT_NE(TakeConsoleText().find("the model wants"), std::string::npos);
  }
}

TEST_F(PlannedMemoryPlannerTest, RefusesMoreOrFewerBuffers) {
  const std::vector<int32_t> plan = Plan();
  PlannedMemoryPlanner planner = Make(plan);
  ASSERT_EQ(AddAll(&planner), kTfLiteOk);
  EXPECT_EQ(planner.AddBuffer(16, 0, 1), kTfLiteError);
  EXPECT_NE(TakeConsoleText().find("more than the plan's 4"), std::string::npos);
  ASSERT_EQ(planner.Init(nullptr, 0), kTfLiteOk);
  ASSERT_EQ(planner.AddBuffer(112, 0, 1), kTfLiteOk);
  int offset = 0;
  EXPECT_EQ(planner.GetOffsetForBuffer(0, &offset), kTfLiteError);
  EXPECT_NE(TakeConsoleText().find("the model has 1 buffers, the plan 4"), std::string::npos);
}

TEST_F(PlannedMemoryPlannerTest, BelongsToItsModelOnly) {
  const std::vector<int32_t> plan = Plan();
  const PlannedMemoryPlanner planner = Make(plan);
  EXPECT_TRUE(planner.BelongsTo(kModel, 9));
  EXPECT_FALSE(planner.BelongsTo(kModel, 8));
  EXPECT_FALSE(planner.BelongsTo("123456780", 9));
}

TEST_F(PlannedMemoryPlannerTest, RefusesOverlapOfLiveBuffers) {
  std::vector<int32_t> plan = Plan();
  Field(&plan, 1, 5) = -1;  // y no longer says that it overwrites x
  ExpectRefused(plan, "buffers 0 and 1 overlap while both are alive");
  plan = Plan();
  Field(&plan, 3, 3) = 0;  // the scratch moves into y
  ExpectRefused(plan, "overlap while both are alive");
}

TEST_F(PlannedMemoryPlannerTest, RefusesOverwritingWhatIsStillNeeded) {
  std::vector<int32_t> plan = Plan();
  Field(&plan, 0, 2) = 2;  // x is read once more after y was written over it
  ExpectRefused(plan, "buffer 1 may not overwrite buffer 0");
  plan = Plan();
  Field(&plan, 1, 5) = 1;  // itself
  ExpectRefused(plan, "buffer 1 may not overwrite buffer 1");
  plan = Plan();
  Field(&plan, 1, 5) = 7;  // nobody
  ExpectRefused(plan, "buffer 1 may not overwrite buffer 7");
}

TEST_F(PlannedMemoryPlannerTest, RefusesBuffersOutsideTheirRegion) {
  const int broken[][3] = {
      {2, 4, 192}, {2, 4, 8}, {2, 4, -16}, {3, 3, 2},   {3, 3, -1},
      {0, 0, -1},  {0, 1, 5}, {0, 1, -1},  {3, 0, 128}, {2, 4, INT32_MAX - 15}};
  for (const auto& change : broken) {
    std::vector<int32_t> plan = Plan();
    Field(&plan, change[0], change[1]) = change[2];
    ExpectRefused(plan, "do not fit");
  }
}

TEST_F(PlannedMemoryPlannerTest, RefusesBrokenHeaders) {
  const int broken[][2] = {{0, 0}, {1, 2}};
  for (const auto& change : broken) {
    std::vector<int32_t> plan = Plan();
    plan[static_cast<size_t>(change[0])] = change[1];
    ExpectRefused(plan, "expected a plan of version 1");
  }
  const int counts[][2] = {{2, 0}, {2, 3}, {2, -1}, {3, 3}, {3, 5}, {3, -1}, {3, 1 << 30}};
  for (const auto& change : counts) {
    std::vector<int32_t> plan = Plan();
    plan[static_cast<size_t>(change[0])] = change[1];
    ExpectRefused(plan, "memory plan: got ");
  }
  std::vector<int32_t> plan = Plan();
  plan[kHeader] = 272;  // more than region 0 has
  ExpectRefused(plan, "region 0: needs 272 bytes");
  PlannedMemoryPlanner nothing(nullptr, 0, regions_, kRegions);
  EXPECT_EQ(nothing.Init(nullptr, 0), kTfLiteError);
}

TEST_F(PlannedMemoryPlannerTest, RefusesMisalignedRegion) {
  const std::vector<int32_t> plan = Plan();
  const MemoryRegion crooked[] = {{memory_ + 8, 256}, {memory_ + 512, 128}};
  PlannedMemoryPlanner planner(plan.data(), plan.size(), crooked, kRegions);
  EXPECT_EQ(planner.CheckPlan(), kTfLiteError);
}

TEST_F(PlannedMemoryPlannerTest, PrintsThePlan) {
  const std::vector<int32_t> plan = Plan();
  PlannedMemoryPlanner planner = Make(plan);
  planner.PrintMemoryPlan();
  EXPECT_NE(TakeConsoleText().find("buffer 3: region 1, offset 0, 64 bytes, uses 2..2"),
            std::string::npos);
}

}  // namespace
}  // namespace tflm_vit
