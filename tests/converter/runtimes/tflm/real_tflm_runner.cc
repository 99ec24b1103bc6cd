// SPDX-License-Identifier: Apache-2.0
// What a device does, as a host program for test_tflm_real.py: TFLM's own headers and library, the
// project's operators in a MicroMutableOpResolver, and the project's memory planner.
//
//   real_tflm_runner MODEL INPUT OUTPUT ARENA_BYTES [PLAN]
//
// Prints "arena_used_bytes N". Exits with 0, or with the number of the step that failed.
#include <stdio.h>
#include <stdlib.h>

#include <cstring>
#include <vector>

#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_custom_ops/tflm/planned_memory_planner.h"
#include "tflm_custom_ops/tflm/vit_tflm_ops.h"

namespace {

// A file in memory on a multiple of 16 bytes, as a linker places a model.
class File {
 public:
  explicit File(const char* path) {
    FILE* file = fopen(path, "rb");
    if (file == nullptr) exit(9);
    fseek(file, 0, SEEK_END);
    bytes_ = static_cast<size_t>(ftell(file));
    rewind(file);
    data_ = static_cast<uint8_t*>(aligned_alloc(16, (bytes_ + 16) / 16 * 16));
    if (fread(data_, 1, bytes_, file) != bytes_) exit(9);
    fclose(file);
  }
  uint8_t* data() { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  uint8_t* data_;
  size_t bytes_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 5) return 9;
  File model(arguments[1]);
  File input(arguments[2]);
  const size_t arena_bytes = strtoul(arguments[4], nullptr, 10);
  uint8_t* arena = static_cast<uint8_t*>(aligned_alloc(16, (arena_bytes + 15) / 16 * 16));

  tflite::MicroMutableOpResolver<8> resolver;
  if (tflm_vit::AddVitOps(&resolver) != kTfLiteOk) return 1;

  std::vector<int32_t> plan;
  if (count > 5) {
    File file(arguments[5]);
    plan.resize(file.bytes() / 4);
    memcpy(plan.data(), file.data(), file.bytes());
  }
  const tflm_vit::MemoryRegion regions[] = {{arena, arena_bytes}};
  tflm_vit::PlannedMemoryPlanner planner(plan.data(), plan.size(), regions, 1);
  if (count > 5 && !planner.BelongsTo(model.data(), model.bytes())) return 2;
  tflite::MicroAllocator* allocator =
      count > 5 ? tflite::MicroAllocator::Create(arena, arena_bytes, &planner)
                : tflite::MicroAllocator::Create(arena, arena_bytes);
  tflite::MicroInterpreter interpreter(tflite::GetModel(model.data()), resolver, allocator);
  if (interpreter.AllocateTensors() != kTfLiteOk) return 3;
  printf("arena_used_bytes %d\n", static_cast<int>(interpreter.arena_used_bytes()));
  if (interpreter.input(0)->bytes != input.bytes()) return 4;
  memcpy(interpreter.input(0)->data.raw, input.data(), input.bytes());
  if (interpreter.Invoke() != kTfLiteOk) return 5;
  FILE* out = fopen(arguments[3], "wb");
  if (out == nullptr) return 9;
  fwrite(interpreter.output(0)->data.raw, 1, interpreter.output(0)->bytes, out);
  return fclose(out) == 0 ? 0 : 9;
}
