// SPDX-License-Identifier: Apache-2.0
// Statuses of a library whose TFLM fails as told, and the strips that a streamed one hands over.
// The test defines NAME(x) and UPPER(x), the model's places, and knows what has to be printed.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "fake_tflm.h"
#include "places.h"
#include "vit_names.h"

// The operators are not linked: the fake runs none.
namespace TFLM_NAMESPACE {
#define OPERATOR(code) \
  const TFLMRegistration* Register##code() { return nullptr; }
OPERATORS
#undef OPERATOR
}  // namespace TFLM_NAMESPACE

namespace {

alignas(16) std::uint8_t arena[UPPER(ARENA_BYTES) + 64];
std::int8_t image[UPPER(INPUT_BYTES)];
int events;

void count(void*, int, int) { ++events; }

void say(const char* what, int status) { std::printf("%s %d\n", what, status); }

int infer(NAME(state) * state, std::size_t rows_at_once) {
  int status = NAME(begin)(state);
  for (std::size_t y = 0; status == 0 && y < UPPER(IMAGE_HEIGHT); y += rows_at_once) {
    const std::size_t left = UPPER(IMAGE_HEIGHT) - y;
    status = NAME(push_rows)(state, image + y * UPPER(ROW_BYTES),
                             left < rows_at_once ? left : rows_at_once);
  }
  return status == 0 ? NAME(finish)(state) : status;
}

void print_seen() {
  std::printf("seen");
  for (std::size_t i = 0; i < fake_tflm.seen_bytes; ++i) std::printf(" %d", fake_tflm.seen[i]);
  std::printf("\n");
}

}  // namespace

int main() {
  fake_tflm.input_offset = PLACE_INPUT;
  fake_tflm.input_bytes = PLACE_INPUT_BYTES;
  fake_tflm.output_offset = PLACE_OUTPUT;
  fake_tflm.output_bytes = UPPER(CLASSES);
  fake_tflm.runs_of_an_image = PLACE_RUNS;
  for (std::size_t i = 0; i < sizeof image; ++i) image[i] = static_cast<std::int8_t>(i * 7 % 251);
  NAME(state) state;
  std::size_t used = 0;
  const std::int8_t* output = nullptr;
  say("init", NAME(init)(&state, arena, UPPER(ARENA_BYTES)));
  say("used before", NAME(arena_used)(&state, &used));
  for (int failing = FakeTflm::kOperators; failing <= FakeTflm::kInvoke; ++failing) {
    fake_tflm.failing = static_cast<FakeTflm::Failing>(failing);
    say("failing", infer(&state, 1));
    say("output", NAME(output)(&state, &output));
    say("finish", NAME(finish)(&state));
  }
  fake_tflm.failing = FakeTflm::kNothing;
  say("begin", NAME(begin)(&state));
  say("used nowhere", NAME(arena_used)(&state, nullptr));
  say("used", NAME(arena_used)(&state, &used));
  say("enough", used > 1000 && used <= UPPER(ARENA_BYTES));
  NAME(set_hook)(&state, count, nullptr);
  for (const std::size_t rows :
       {std::size_t{1}, std::size_t{4}, std::size_t{UPPER(IMAGE_HEIGHT)}}) {
    events = 0;
    fake_tflm.made = 0;
    say("infer", infer(&state, rows));
    say("made", static_cast<int>(fake_tflm.made));
    say("events", events);
    print_seen();
    // The arena is used for other things, but not the outputs.
    say("output", NAME(output)(&state, &output));
    std::size_t best = 0;
    say("best", NAME(best_class)(&state, &best));
    say("class", static_cast<int>(best));
    std::memset(arena, 0xEE, sizeof arena);
  }
  say("used after", NAME(arena_used)(&state, &used));
  // More arena than needed: the interpreter lies at its end.
  say("large", NAME(init)(&state, arena, sizeof arena));
  say("infer", infer(&state, 2));
  return 0;
}
