// SPDX-License-Identifier: Apache-2.0
#include "tflm_custom_ops/tflm/planned_memory_planner.h"

#include "tensorflow/lite/micro/micro_log.h"

namespace tflm_vit {
namespace {

constexpr int32_t kMagic = 0x31504d56;  // "VMP1" little-endian
constexpr int32_t kVersion = 1;
constexpr int kHeaderWords = 6;
constexpr int kBufferWords = 6;
constexpr int kMaxBuffers = 1 << 14;
constexpr int32_t kAlignment = 16;  // TFLM's MicroArenaBufferAlignment()

// TFLM rounds sizes up before it asks for them.
int32_t AlignUp(int32_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// CRC-32 (IEEE 802.3, reflected, as zlib), bit by bit: it runs once, and a table is 1 KB.
uint32_t Crc32(const uint8_t* bytes, size_t count) {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < count; ++i) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

}  // namespace

PlannedMemoryPlanner::PlannedMemoryPlanner(const int32_t* plan, size_t plan_words,
                                           const MemoryRegion* regions, int region_count)
    : plan_(plan), plan_words_(plan_words), regions_(regions), region_count_(region_count) {}

TfLiteStatus PlannedMemoryPlanner::CheckHeader() const {
  if (plan_ == nullptr || plan_words_ < kHeaderWords || plan_[0] != kMagic ||
      plan_[1] != kVersion) {
    MicroPrintf("memory plan: expected a plan of version %d", static_cast<int>(kVersion));
    return kTfLiteError;
  }
  const int32_t regions = plan_[2];
  const int32_t buffers = plan_[3];
  if (regions < 1 || regions > region_count_ || buffers < 0 || buffers > kMaxBuffers ||
      plan_words_ != static_cast<size_t>(kHeaderWords + regions + kBufferWords * buffers)) {
    MicroPrintf("memory plan: got %d regions, %d buffers, %d words; there are %d regions",
                static_cast<int>(regions), static_cast<int>(buffers), static_cast<int>(plan_words_),
                region_count_);
    return kTfLiteError;
  }
  for (int region = 0; region < regions; ++region) {
    const int32_t bytes = plan_[kHeaderWords + region];
    const bool aligned = reinterpret_cast<uintptr_t>(regions_[region].base) % kAlignment == 0;
    if (bytes < 0 || static_cast<size_t>(bytes) > regions_[region].bytes || !aligned) {
      MicroPrintf("memory plan: region %d: needs %d bytes on a multiple of %d, has %d", region,
                  static_cast<int>(bytes), static_cast<int>(kAlignment),
                  static_cast<int>(regions_[region].bytes));
      return kTfLiteError;
    }
  }
  return kTfLiteOk;
}

size_t PlannedMemoryPlanner::RegionBytes(int region) const {
  return static_cast<size_t>(plan_[kHeaderWords + region]);
}

PlannedMemoryPlanner::Buffer PlannedMemoryPlanner::GetBuffer(int index) const {
  const int32_t* words = plan_ + kHeaderWords + plan_regions() + kBufferWords * index;
  return {words[0], words[1], words[2], words[3], words[4], words[5]};
}

TfLiteStatus PlannedMemoryPlanner::CheckBuffer(int index) const {
  const Buffer b = GetBuffer(index);
  const bool in_region =
      b.region >= 0 && b.region < plan_regions() && b.bytes >= 0 && b.offset >= 0 &&
      static_cast<size_t>(b.bytes) <= RegionBytes(b.region) &&
      static_cast<size_t>(b.offset) <= RegionBytes(b.region) - static_cast<size_t>(b.bytes);
  if (!in_region || b.offset % kAlignment != 0 || b.first_use < 0 || b.last_use < b.first_use) {
    MicroPrintf("memory plan: buffer %d: %d bytes at %d of region %d, uses %d..%d do not fit",
                index, static_cast<int>(b.bytes), static_cast<int>(b.offset),
                static_cast<int>(b.region), static_cast<int>(b.first_use),
                static_cast<int>(b.last_use));
    return kTfLiteError;
  }
  if (b.overwrites < -1 || b.overwrites >= buffer_count() || b.overwrites == index ||
      (b.overwrites >= 0 && GetBuffer(b.overwrites).last_use != b.first_use)) {
    MicroPrintf("memory plan: buffer %d may not overwrite buffer %d", index,
                static_cast<int>(b.overwrites));
    return kTfLiteError;
  }
  return kTfLiteOk;
}

TfLiteStatus PlannedMemoryPlanner::CheckPair(int first, int second) const {
  const Buffer a = GetBuffer(first);
  const Buffer b = GetBuffer(second);
  const bool at_once = a.first_use <= b.last_use && b.first_use <= a.last_use;
  const bool overlap = a.region == b.region && a.offset < b.offset + AlignUp(b.bytes) &&
                       b.offset < a.offset + AlignUp(a.bytes);
  if (!at_once || !overlap || a.overwrites == second || b.overwrites == first) return kTfLiteOk;
  MicroPrintf("memory plan: buffers %d and %d overlap while both are alive", first, second);
  return kTfLiteError;
}

TfLiteStatus PlannedMemoryPlanner::CheckPlan() const {
  if (CheckHeader() != kTfLiteOk) return kTfLiteError;
  for (int i = 0; i < buffer_count(); ++i) {
    if (CheckBuffer(i) != kTfLiteOk) return kTfLiteError;
    for (int j = 0; j < i; ++j) {
      if (CheckPair(j, i) != kTfLiteOk) return kTfLiteError;
    }
  }
  return kTfLiteOk;
}

bool PlannedMemoryPlanner::BelongsTo(const void* model, size_t model_bytes) const {
  if (CheckHeader() != kTfLiteOk) return false;
  if (static_cast<size_t>(static_cast<uint32_t>(plan_[4])) != model_bytes) return false;
  return Crc32(static_cast<const uint8_t*>(model), model_bytes) == static_cast<uint32_t>(plan_[5]);
}

TfLiteStatus PlannedMemoryPlanner::Init(unsigned char*, int) {
  added_ = 0;
  return CheckPlan();
}

TfLiteStatus PlannedMemoryPlanner::AddBuffer(int size, int first_time_used, int last_time_used) {
  if (added_ >= buffer_count()) {
    MicroPrintf("memory plan: the model has more than the plan's %d buffers", buffer_count());
    return kTfLiteError;
  }
  const Buffer b = GetBuffer(added_);
  if (AlignUp(b.bytes) != AlignUp(size) || b.first_use != first_time_used ||
      b.last_use != last_time_used) {
    MicroPrintf("memory plan: buffer %d: the model wants %d bytes, uses %d..%d; planned %d, %d..%d",
                added_, size, first_time_used, last_time_used, static_cast<int>(b.bytes),
                static_cast<int>(b.first_use), static_cast<int>(b.last_use));
    return kTfLiteError;
  }
  ++added_;
  return kTfLiteOk;
}

TfLiteStatus PlannedMemoryPlanner::AddBuffer(int size, int first_time_used, int last_time_used,
                                             int) {
  return AddBuffer(size, first_time_used, last_time_used);
}

size_t PlannedMemoryPlanner::GetMaximumMemorySize() { return RegionBytes(0); }

int PlannedMemoryPlanner::GetBufferCount() { return added_; }

TfLiteStatus PlannedMemoryPlanner::GetOffsetForBuffer(int buffer_index, int* offset) {
  if (added_ != buffer_count() || buffer_index < 0 || buffer_index >= added_) {
    MicroPrintf("memory plan: buffer %d asked for; the model has %d buffers, the plan %d",
                buffer_index, added_, buffer_count());
    return kTfLiteError;
  }
  const Buffer b = GetBuffer(buffer_index);
  // TFLM adds the offset to the arena's start, whichever region it then points into.
  const intptr_t distance = reinterpret_cast<intptr_t>(regions_[b.region].base) -
                            reinterpret_cast<intptr_t>(regions_[0].base) + b.offset;
  if (distance > INT32_MAX || distance < INT32_MIN) {
    MicroPrintf("memory plan: region %d is too far from the arena", static_cast<int>(b.region));
    return kTfLiteError;
  }
  *offset = static_cast<int>(distance);
  return kTfLiteOk;
}

void PlannedMemoryPlanner::PrintMemoryPlan() {
  for (int i = 0; i < buffer_count(); ++i) {
    const Buffer b = GetBuffer(i);
    MicroPrintf("buffer %d: region %d, offset %d, %d bytes, uses %d..%d", i,
                static_cast<int>(b.region), static_cast<int>(b.offset), static_cast<int>(b.bytes),
                static_cast<int>(b.first_use), static_cast<int>(b.last_use));
  }
}

}  // namespace tflm_vit
