// SPDX-License-Identifier: Apache-2.0
#include "harness/harness.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "app/classifier.h"
#include "app/console.h"
#include "app/meter.h"
#include "app/model_info.h"
#include "board_config.h"
#include "cortexm/system.h"
#include "harness_config.h"
#include "vit_model.h"
#if HARNESS_ENERGY
#include "stm32/gpio.h"
#endif

#define COMMAND_BYTES 80u
#define DEFAULT_INFERENCES 1u
#define DEFAULT_WARMUP 10u
#define PRINTED_BYTES 8u  // a line of db print
#define FIRMWARE "ULPMark for tinyML Firmware V0.0.1"

static char command[COMMAND_BYTES + 1u];
static uint32_t command_length;  // COMMAND_BYTES + 1 of one that is too long

// As the runner sent it: inferences overwrite the model's own input.
static uint8_t input[VIT_MODEL_INPUT_BYTES];
static uint32_t expected_bytes;  // 0 before the first db load
static uint32_t received_bytes;
static const int8_t* output;  // NULL before the first inference

static uint64_t clock_cycles;
static uint32_t clock_last;

// ---- text ---------------------------------------------------------------------------------------

static void end_line(void) { console_text("\r\n"); }

static void line(const char* text) {
  console_text(text);
  end_line();
}

static void line_with(const char* before, uint64_t number, const char* after) {
  console_text(before);
  console_unsigned(number);
  line(after);
}

static void hex_byte(uint8_t byte) {
  console_write_byte((uint8_t) "0123456789abcdef"[byte >> 4]);
  console_write_byte((uint8_t) "0123456789abcdef"[byte & 15u]);
}

// The next word, ended with a zero; NULL when there is none.
static char* next_word(char** text) {
  char* word = *text;
  while (*word == ' ') ++word;
  if (*word == '\0') return NULL;
  char* end = word;
  while (*end != ' ' && *end != '\0') ++end;
  *text = *end == '\0' ? end : end + 1;
  *end = '\0';
  return word;
}

// A decimal number below a thousand million; false for anything else.
static bool read_number(const char* word, uint32_t* number) {
  uint32_t value = 0;
  int digits = 0;
  for (; word[digits] != '\0'; ++digits) {
    if (word[digits] < '0' || word[digits] > '9' || digits == 9) return false;
    value = 10u * value + (uint32_t)(word[digits] - '0');
  }
  *number = value;
  return digits > 0;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// ---- time ---------------------------------------------------------------------------------------

// Of which at least `known` have passed: the 32-bit counter may have wrapped in them.
static void advance_clock(uint64_t known) {
  const uint32_t now = cycle_counter_read();
  const uint32_t beyond = now - clock_last - (uint32_t)known;
  clock_cycles += known + beyond;
  clock_last = now;
}

void harness_clock(void) { advance_clock(0); }

// Whole seconds apart: all cycles times a million are more than 64 bits after some hours.
#if !HARNESS_ENERGY
static uint64_t microseconds(void) {
  const uint64_t rest = clock_cycles % BOARD_CLOCK_SYSTEM_HZ;
  return clock_cycles / BOARD_CLOCK_SYSTEM_HZ * 1000000u + rest * 1000000u / BOARD_CLOCK_SYSTEM_HZ;
}
#endif

#if HARNESS_ENERGY
// The falling edge is the time; low for some microseconds, of which the runner asks for one.
static void timestamp(void) {
  gpio_release(HARNESS_PIN_PORT, HARNESS_PIN, false);
  for (volatile uint32_t i = 0; i < BOARD_CLOCK_SYSTEM_HZ / 200000u; ++i) {
  }
  gpio_release(HARNESS_PIN_PORT, HARNESS_PIN, true);
}
#else
static void timestamp(void) {
  harness_clock();
  line_with("m-lap-us-", microseconds(), "");
}
#endif

// ---- the model ----------------------------------------------------------------------------------

static bool infer_once(void) {
  harness_clock();
  output = NULL;
  const bool taken =
      classifier_begin() && classifier_push((const int8_t*)input, VIT_MODEL_ROW_COUNT);
  if (taken) output = classifier_finish();
  advance_clock(meter_total_cycles());
  return output != NULL;
}

static void print_real(int8_t value) {
  const float real = model_info.output_scale * (float)(value - model_info.output_zero_point);
  const int32_t milli = (int32_t)(1000.0f * real + (real < 0.0f ? -0.5f : 0.5f));
  const uint32_t size = (uint32_t)(milli < 0 ? -milli : milli);
  if (milli < 0) console_write_byte('-');
  console_unsigned(size / 1000u);
  console_write_byte('.');
  for (uint32_t unit = 100u; unit > 0u; unit /= 10u) console_unsigned(size / unit % 10u);
}

static void results(void) {
  if (output == NULL) {
    line("e-[No results: nothing was inferred]");
    return;
  }
  console_text("m-results-[");
  for (int i = 0; i < VIT_MODEL_CLASSES; ++i) {
    if (i > 0) console_write_byte(',');
    print_real(output[i]);
  }
  line("]");
}

static bool infer_many(uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (!infer_once()) {
      line("e-[The model failed]");
      return false;
    }
  }
  return true;
}

static void infer(uint32_t count, uint32_t warmup) {
  line_with("m-warmup-start-", warmup, "");
  if (!infer_many(warmup)) return;
  line("m-warmup-done");
  line_with("m-infer-start-", count, "");
  timestamp();
  if (!infer_many(count)) return;
  timestamp();
  line("m-infer-done");
  results();
}

static void handle_infer(char* words) {
  uint32_t count = DEFAULT_INFERENCES, warmup = DEFAULT_WARMUP;
  const char* word = next_word(&words);
  if (word != NULL && (!read_number(word, &count) || count == 0u)) {
    line("e-[Inference iterations must be >0]");
    return;
  }
  word = next_word(&words);
  if (word != NULL && !read_number(word, &warmup)) {
    line("e-[Inference warmup must be >=0]");
    return;
  }
  if (expected_bytes == 0u || received_bytes != expected_bytes) {
    line_with("e-[Input incomplete: ", received_bytes, " bytes]");
    return;
  }
  infer(count, warmup);
}

static void operators(void) {
  for (int i = 0; i < VIT_MODEL_OP_COUNT; ++i) {
    console_text("m-operator-");
    console_unsigned(meter_operator_cycles(i));
    console_text("-[");
    console_text(vit_model_op_names[i]);
    line("]");
  }
}

// ---- the input ----------------------------------------------------------------------------------

#if HARNESS_TABLES
// What a byte of a pixel becomes, for all channels or for each.
static const int8_t steps[HARNESS_TABLES][256] = HARNESS_STEPS;
#endif

static uint8_t as_input(uint8_t byte, uint32_t place) {
#if HARNESS_TABLES
  return (uint8_t)steps[place % HARNESS_TABLES][byte];
#else
  (void)place;
  return byte;
#endif
}

static void load(const char* word) {
  uint32_t bytes = 0;
  if (word == NULL || !read_number(word, &bytes) || bytes != sizeof(input)) {
    line_with("e-[Command 'db load' must be of ", sizeof(input), " bytes]");
    return;
  }
  expected_bytes = bytes;
  received_bytes = 0;
  line_with("m-[Expecting ", bytes, " bytes]");
}

// Digits behind the last byte are disregarded, as the runner expects.
static void receive_bytes(const char* digits) {
  if (strlen(digits) % 2u != 0u) {
    line("e-[Insufficient number of hex digits]");
    return;
  }
  for (; *digits != '\0' && received_bytes < expected_bytes; digits += 2) {
    const int high = hex_digit(digits[0]), low = hex_digit(digits[1]);
    if (high < 0 || low < 0) {
      line("e-[Invalid hex digit]");
      return;
    }
    input[received_bytes] = as_input((uint8_t)(16 * high + low), received_bytes);
    if (++received_bytes == expected_bytes) line("m-load-done");
  }
}

static void print_input(void) {
  for (uint32_t i = 0; i < received_bytes; ++i) {
    console_text(i % PRINTED_BYTES == 0u ? "m-buffer-" : "-");
    hex_byte(input[i]);
    if ((i + 1u) % PRINTED_BYTES == 0u || i + 1u == received_bytes) end_line();
  }
}

static void handle_db(char* words) {
  const char* word = next_word(&words);
  if (word == NULL) {
    line("e-[Command 'db' requires a subcommand]");
  } else if (strcmp(word, "load") == 0) {
    load(next_word(&words));
  } else if (strcmp(word, "print") == 0) {
    print_input();
  } else if (expected_bytes == 0u) {
    line("e-[Command 'db load' must come first]");
  } else {
    receive_bytes(word);
  }
}

// ---- commands -----------------------------------------------------------------------------------

static void help(void) {
  line(FIRMWARE);
  line(
      "help, name, profile, timestamp, db load N, db HH.., db print, infer N W, results, "
      "operators");
}

static void run_command(char* words) {
  const char* word = next_word(&words);
  if (word == NULL) return;
  if (strcmp(word, "name") == 0) {
    line("m-name-dut-[" BOARD_NAME "]");
  } else if (strcmp(word, "profile") == 0) {
    line("m-profile-[" FIRMWARE "]");
    line("m-model-[" HARNESS_MODEL "]");
  } else if (strcmp(word, "timestamp") == 0) {
    timestamp();
  } else if (strcmp(word, "help") == 0) {
    help();
  } else if (strcmp(word, "db") == 0) {
    handle_db(words);
  } else if (strcmp(word, "infer") == 0) {
    handle_infer(words);
  } else if (strcmp(word, "results") == 0) {
    results();
  } else if (strcmp(word, "operators") == 0) {
    operators();
  } else {
    console_text("e-[Unknown command: ");
    console_text(word);
    line("]");
  }
}

void harness_begin(void) {
#if HARNESS_ENERGY
  gpio_open_drain(HARNESS_PIN_PORT, HARNESS_PIN);
  line("m-timestamp-mode-energy");
#else
  line("m-timestamp-mode-performance");
#endif
  timestamp();
  line("m-init-done");
  line("m-ready");
}

void harness_receive(uint8_t byte) {
  if (byte == '\r' || byte == '\n') return;
  if (byte != '%') {
    if (command_length < COMMAND_BYTES) command[command_length] = (char)byte;
    if (command_length <= COMMAND_BYTES) ++command_length;
    return;
  }
  if (command_length > COMMAND_BYTES) {
    line_with("e-[Command longer than ", COMMAND_BYTES, " bytes]");
  } else {
    command[command_length] = '\0';
    run_command(command);
  }
  command_length = 0;
  line("m-ready");
}
