// SPDX-License-Identifier: Apache-2.0
// A C++ program that calls three libraries as their headers say, and as they say not to. It prints
// statuses and outputs; test_library.py knows what they have to be.
#include <array>
#include <cstdio>
#include <cstring>

#include "first.h"
#include "images.h"  // of the test: kFirst (bytes), kSecond (int8), kSums (int8)
#include "second.h"
#include "sums.h"

namespace {

FIRST_ALIGNED std::array<std::uint8_t, FIRST_ARENA_BYTES + 16> first_arena[2];
SECOND_ALIGNED std::array<std::uint8_t, SECOND_ARENA_BYTES> second_arena;
SUMS_ALIGNED std::array<std::uint8_t, SUMS_ARENA_BYTES> sums_arena;
static_assert(FIRST_ARENA_BYTES % 16 == 0, "the second of two arenas in a row is aligned");
static_assert(FIRST_STATE_BYTES == sizeof(first_state), "one size");

void say(const char* what, int status) { std::printf("%s %d\n", what, status); }

template <typename T>
void print(const char* what, const T* values, std::size_t count) {
  std::printf("%s", what);
  for (std::size_t i = 0; i < count; ++i) std::printf(" %d", static_cast<int>(values[i]));
  std::printf("\n");
}

// What a caller can do wrong, and that the right calls go on afterwards.
void misuse() {
  first_state state;
  std::memset(&state, 0x5A, sizeof state);
  const std::int8_t* output = nullptr;
  std::int8_t* input = nullptr;
  say("not made", first_begin(&state));
  say("no state", first_init(nullptr, first_arena[0].data(), FIRST_ARENA_BYTES));
  say("no arena", first_init(&state, nullptr, FIRST_ARENA_BYTES));
  say("odd arena", first_init(&state, first_arena[0].data() + 8, FIRST_ARENA_BYTES));
  say("small arena", first_init(&state, first_arena[0].data(), FIRST_ARENA_BYTES - 1));
  say("still not made", first_output(&state, &output));
  say("made", first_init(&state, first_arena[0].data(), FIRST_ARENA_BYTES));
  say("output before", first_output(&state, &output));
  say("push before begin", first_push_rows(&state, kSecond[0], 1));
  say("invoke before input", first_invoke(&state));
  say("begin", first_begin(&state));
  say("no rows", first_push_rows(&state, nullptr, 1));
  say("too many", first_push_rows(&state, kSecond[0], FIRST_IMAGE_HEIGHT + 1));
  say("far too many", first_push_rows(&state, kSecond[0], static_cast<std::size_t>(-1)));
  say("too few", first_finish(&state));
  say("input", first_input(&state, &input));
  std::memset(input, 0, FIRST_INPUT_BYTES);
  say("invoke", first_invoke(&state));
  say("invoke again", first_invoke(&state));
  say("output", first_output(&state, &output));
  say("no place", first_output(&state, nullptr));
  say("output after begin", first_begin(&state) + first_output(&state, &output));

  second_state other;
  say("made", second_init(&other, second_arena.data(), second_arena.size()));
  say("finish before begin", second_finish(&other));
  say("begin", second_begin(&other));
  say("too many", second_push_rows(&other, kSecond[0], SECOND_IMAGE_HEIGHT + 1));
  say("no rows at all", second_push_rows(&other, kSecond[0], 0));
  say("too few", second_finish(&other));

  sums_state third;
  say("made", sums_init(&third, sums_arena.data(), sums_arena.size()));
  say("one of three", sums_input1(&third, &input));
  say("invoke with one of three", sums_invoke(&third));
}

// Each call of the hook of the first model runs the third one: within another's operators.
struct Nested {
  sums_state* state;
  int calls;
};

void invoke_sums(void* context, int op_index, int end) {
  auto* nested = static_cast<Nested*>(context);
  std::int8_t* input = nullptr;
  if (end == 0 && sums_input0(nested->state, &input) == SUMS_OK) {
    std::memcpy(input, kSums[0], SUMS_INPUT0_BYTES);
    (void)sums_input1(nested->state, &input);
    std::memcpy(input, kSums[1], SUMS_INPUT1_BYTES);
    (void)sums_input2(nested->state, &input);
    std::memcpy(input, kSums[2], SUMS_INPUT2_BYTES);
    if (sums_invoke(nested->state) == SUMS_OK && op_index < FIRST_OPERATORS) ++nested->calls;
  }
}

void print_sums(const sums_state& state) {
  const std::int8_t* output = nullptr;
  if (sums_output0(&state, &output) == SUMS_OK) print("sums0", output, SUMS_OUTPUT0_COUNT);
  if (sums_output1(&state, &output) == SUMS_OK) print("sums1", output, SUMS_OUTPUT1_COUNT);
  if (sums_output2(&state, &output) == SUMS_OK) print("sums2", output, SUMS_OUTPUT2_COUNT);
}

// Two of the first model, on two images, beside the second; pieces of rows of several sizes.
void interleaved() {
  first_state states[2];
  second_state other;
  sums_state third;
  Nested nested = {&third, 0};
  (void)second_init(&other, second_arena.data(), second_arena.size());
  (void)sums_init(&third, sums_arena.data(), sums_arena.size());
  for (std::size_t i = 0; i < 2; ++i) {
    (void)first_init(&states[i], first_arena[i].data(), first_arena[i].size());
    (void)first_set_hook(&states[i], i == 0 ? invoke_sums : nullptr, &nested);
    (void)first_begin(&states[i]);
  }
  (void)second_begin(&other);
  std::array<std::int8_t, FIRST_ROW_BYTES> row;
  for (std::size_t y = 0; y < FIRST_IMAGE_HEIGHT; ++y) {
    for (std::size_t i = 0; i < 2; ++i) {
      const std::uint8_t* pixels = kFirst[i] + y * FIRST_ROW_BYTES;
      (void)first_pixels(pixels, row.data(), FIRST_IMAGE_WIDTH);
      (void)first_push_rows(&states[i], row.data(), 1);
    }
    const std::size_t done = y * SECOND_IMAGE_HEIGHT / FIRST_IMAGE_HEIGHT;
    const std::size_t next = (y + 1) * SECOND_IMAGE_HEIGHT / FIRST_IMAGE_HEIGHT;
    (void)second_push_rows(&other, kSecond[0] + done * SECOND_ROW_BYTES, next - done);
  }
  say("finish", first_finish(&states[1]) + second_finish(&other) + first_finish(&states[0]));
  const std::int8_t* output = nullptr;
  std::size_t best = 0;
  for (const first_state& state : states) {
    if (first_output(&state, &output) == FIRST_OK) print("first", output, FIRST_CLASSES);
    if (first_best_class(&state, &best) == FIRST_OK) {
      std::printf("best %s\n", first_class_name(best));
    }
  }
  if (second_output(&other, &output) == SECOND_OK) print("second", output, SECOND_CLASSES);
  print_sums(third);
  say("nested", nested.calls);
  say("run", second_run(&other, kSecond[0]));
  if (second_output(&other, &output) == SECOND_OK) print("second", output, SECOND_CLASSES);
}

void helpers() {
  std::array<std::int8_t, 9> values = {};
  const std::array<float, 9> reals = {-1e9F,  -6.15F, -0.026F, -0.024F, 0.0F,
                                      0.024F, 0.026F, 6.6F,    1e9F};
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = first_quantize(reals[i]);
  print("quantized", values.data(), values.size());
  std::printf("real %g\n", static_cast<double>(first_dequantize(-128)));
  std::printf("names %s|%s\n", first_class_name(0), first_class_name(FIRST_CLASSES) ? "?" : "none");
  std::printf("names of second %s\n", second_class_name(0) ? "?" : "none");
  std::printf("operators %s|%s\n", first_op_name(0), first_op_name(FIRST_OPERATORS) ? "?" : "none");
}

}  // namespace

int main() {
  misuse();
  interleaved();
  helpers();
  return 0;
}
