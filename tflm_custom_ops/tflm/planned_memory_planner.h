// SPDX-License-Identifier: Apache-2.0
// A TFLM memory planner that places buffers where the converter's plan says.
//
// TFLM's own planners take time and memory on the device, know one region only, and cannot fix the
// place of scratch buffers. This one looks each buffer up in a constant table. It keeps no state
// per buffer, and it refuses a plan that was made for another model.
//
//   alignas(16) static uint8_t arena[ARENA_BYTES];
//   static const tflm_vit::MemoryRegion regions[] = {{arena, sizeof(arena)}, {dtcm, sizeof(dtcm)}};
//   static tflm_vit::PlannedMemoryPlanner planner(plan, PLAN_WORDS, regions, 2);
//   if (!planner.BelongsTo(model, MODEL_BYTES)) ...
//   auto* allocator = tflite::MicroAllocator::Create(arena, sizeof(arena), &planner);
//
// The plan is int32 words; converter/plan/device_table.py writes it:
//   magic "VMP1", version, region count R, buffer count N, model bytes, CRC-32 of the model,
//   R x bytes used in the region,
//   N x {bytes, first use, last use, region, offset, overwrites}
// with buffers in the order in which TFLM asks for them: the non-constant tensors by index, then
// the scratch buffers by operator. Uses count from 0 (the inputs), operator i being i + 1.
// `overwrites` is -1 or the buffer whose bytes this one may take over at its first use, which is
// the other's last.
#ifndef TFLM_CUSTOM_OPS_TFLM_PLANNED_MEMORY_PLANNER_H_
#define TFLM_CUSTOM_OPS_TFLM_PLANNED_MEMORY_PLANNER_H_

#include <stddef.h>
#include <stdint.h>

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/compatibility.h"
#include "tensorflow/lite/micro/memory_planner/micro_memory_planner.h"

namespace tflm_vit {

// A piece of memory. `base` is 16-byte aligned. Region 0 is the tensor arena.
struct MemoryRegion {
  uint8_t* base;
  size_t bytes;
};

class PlannedMemoryPlanner : public tflite::MicroMemoryPlanner {
 public:
  // Takes ownership of nothing; `plan` and `regions` must outlive the planner.
  PlannedMemoryPlanner(const int32_t* plan, size_t plan_words, const MemoryRegion* regions,
                       int region_count);

  // Whether the plan is well-formed: it fits the regions, every offset is a multiple of 16, and no
  // two buffers that are alive at once overlap unless one overwrites the other. Init checks it too.
  TfLiteStatus CheckPlan() const;

  // Whether the plan was made for this model file (its size and CRC-32).
  bool BelongsTo(const void* model, size_t model_bytes) const;

  // MicroMemoryPlanner. AddBuffer fails for a buffer that is not the next one of the plan. An
  // offset that comes from the model file is ignored: the plan also places scratch buffers, knows
  // all regions, and may therefore differ.
  TfLiteStatus Init(unsigned char* scratch_buffer, int scratch_buffer_size) override;
  TfLiteStatus AddBuffer(int size, int first_time_used, int last_time_used) override;
  TfLiteStatus AddBuffer(int size, int first_time_used, int last_time_used,
                         int offline_offset) override;
  size_t GetMaximumMemorySize() override;
  int GetBufferCount() override;
  TfLiteStatus GetOffsetForBuffer(int buffer_index, int* offset) override;
  bool preserves_all_tensors() const override { return false; }
  void PrintMemoryPlan() override;

 private:
  struct Buffer {
    int32_t bytes;
    int32_t first_use;
    int32_t last_use;
    int32_t region;
    int32_t offset;
    int32_t overwrites;
  };

  TfLiteStatus CheckHeader() const;
  TfLiteStatus CheckBuffer(int index) const;
  TfLiteStatus CheckPair(int first, int second) const;
  int buffer_count() const { return static_cast<int>(plan_[3]); }
  int plan_regions() const { return static_cast<int>(plan_[2]); }
  size_t RegionBytes(int region) const;
  Buffer GetBuffer(int index) const;

  const int32_t* plan_;
  size_t plan_words_;
  const MemoryRegion* regions_;
  int region_count_;
  int added_ = 0;

  TF_LITE_REMOVE_VIRTUAL_DELETE
};

}  // namespace tflm_vit

#endif  // TFLM_CUSTOM_OPS_TFLM_PLANNED_MEMORY_PLANNER_H_
