// SPDX-License-Identifier: Apache-2.0
// Runs one .tflite in TFLM's interpreter with TFLM's own kernels and memory planner, on a core with
// as much memory as that needs. Nothing but `wait_for_host` talks to the outside: the emulator
// stops there, fills the input, reads the output and goes on.

#include <stddef.h>
#include <stdint.h>

#include <new>

#include "model_config.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_custom_ops/tflm/vit_tflm_ops.h"
#include "vit_model_resolver.h"

extern "C" {
#include "app/console.h"
#include "app/meter.h"
#include "marks.h"

extern const uint8_t vit_model_weights[];  // The .tflite itself.
extern uint32_t __stack_top;

// What the host reads; addresses are those of this machine.
struct HostView {
  uint32_t ready;  // 1: set up; 2: set-up failed; 3: an operator failed.
  uint32_t input;
  uint32_t input_bytes;
  uint32_t output;
  uint32_t output_bytes;
  uint32_t arena_used_bytes;
  uint32_t result_count;
};
volatile HostView host_view;
volatile uint8_t console_log[1024];
volatile uint32_t console_log_bytes;

void reset_handler(void);
void fault_report(void);
void system_init(void) {}

// The emulator starts like the core: stack pointer and reset handler.
__attribute__((section(".vectors"), used))
const void* const vectors[2] = {&__stack_top, reinterpret_cast<const void*>(&reset_handler)};

// The emulator reports faults itself, this never runs.
void fault_report(void) {
  for (;;) {
  }
}

void console_write_byte(uint8_t byte) {
  if (console_log_bytes < sizeof(console_log)) console_log[console_log_bytes++] = byte;
}

void console_text(const char* text) {
  while (*text != '\0') console_write_byte(static_cast<uint8_t>(*text++));
}
}

namespace {

// Marks each operator; TFLM calls it around each.
class MeterProfiler final : public tflite::MicroProfilerInterface {
 public:
  void Restart() { next_ = 0; }
  uint32_t BeginEvent(const char*) override {
    meter_operator(nullptr, static_cast<int>(next_), 0);
    return next_++;
  }
  void EndEvent(uint32_t event) override { meter_operator(nullptr, static_cast<int>(event), 1); }

 private:
  uint32_t next_ = 0;
};

using Resolver = tflite::MicroMutableOpResolver<VIT_MODEL_RESOLVER_OPERATORS>;

alignas(16) __attribute__((section(".arena"))) uint8_t arena[MODEL_ARENA_BYTES];
alignas(Resolver) uint8_t resolver_bytes[sizeof(Resolver)];
alignas(MeterProfiler) uint8_t profiler_bytes[sizeof(MeterProfiler)];
alignas(tflite::MicroInterpreter) uint8_t interpreter_bytes[sizeof(tflite::MicroInterpreter)];

uint32_t Address(const void* pointer) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pointer));
}

}  // namespace

int main() {
  auto* resolver = new (resolver_bytes) Resolver();
  auto* profiler = new (profiler_bytes) MeterProfiler();
  if (VitModelAddOperators(resolver) != kTfLiteOk) host_view.ready = 2;
  auto* interpreter = new (interpreter_bytes) tflite::MicroInterpreter(
      tflite::GetModel(vit_model_weights), *resolver, arena, sizeof(arena), nullptr, profiler);
  if (host_view.ready == 0 && interpreter->AllocateTensors() == kTfLiteOk) {
    host_view.input = Address(interpreter->input(0)->data.raw);
    host_view.input_bytes = static_cast<uint32_t>(interpreter->input(0)->bytes);
    host_view.output = Address(interpreter->output(0)->data.raw);
    host_view.output_bytes = static_cast<uint32_t>(interpreter->output(0)->bytes);
    host_view.arena_used_bytes = static_cast<uint32_t>(interpreter->arena_used_bytes());
    host_view.ready = 1;
  } else {
    host_view.ready = 2;
  }
  for (;;) {
    wait_for_host();
    if (host_view.ready != 1) continue;
    profiler->Restart();
    meter_start();
    const TfLiteStatus status = interpreter->Invoke();
    meter_stop();
    if (status != kTfLiteOk) host_view.ready = 3;
    host_view.result_count = host_view.result_count + 1;
  }
}
