// SPDX-License-Identifier: Apache-2.0
// Two models work on two images at once, row by row, as from two cameras.
//
//   two_models FIRST.bin SECOND.bin
//
// A file holds the int8 values of an image, INPUT_BYTES of them. Each model has a state and an
// arena of its own; which of them is called when makes no difference to either.
#include <stdio.h>

#include "first.h"
#include "second.h"

static first_state first;
static second_state second;
static FIRST_ALIGNED uint8_t first_arena[FIRST_ARENA_BYTES];
static SECOND_ALIGNED uint8_t second_arena[SECOND_ARENA_BYTES];
static int8_t first_image[FIRST_INPUT_BYTES];
static int8_t second_image[SECOND_INPUT_BYTES];

static int read_image(const char* path, int8_t* image, size_t bytes) {
  FILE* file = fopen(path, "rb");
  const size_t read = file == NULL ? 0 : fread(image, 1, bytes, file);
  if (file != NULL) fclose(file);
  if (read != bytes) fprintf(stderr, "%s: got %zu bytes, expected %zu\n", path, read, bytes);
  return read == bytes;
}

static void print_outputs(const char* model, const int8_t* outputs, size_t count, size_t best) {
  printf("%s: class %zu of outputs", model, best);
  for (size_t i = 0; i < count; ++i) printf(" %d", outputs[i]);
  printf("\n");
}

// Each round gives each model a row, until both have all of theirs.
static int run(void) {
  if (first_begin(&first) != FIRST_OK || second_begin(&second) != SECOND_OK) return 0;
  for (size_t y = 0; y < FIRST_IMAGE_HEIGHT || y < SECOND_IMAGE_HEIGHT; ++y) {
    const int8_t* first_row = first_image + y * FIRST_ROW_BYTES;
    const int8_t* second_row = second_image + y * SECOND_ROW_BYTES;
    if (y < FIRST_IMAGE_HEIGHT && first_push_rows(&first, first_row, 1) != FIRST_OK) return 0;
    if (y < SECOND_IMAGE_HEIGHT && second_push_rows(&second, second_row, 1) != SECOND_OK) return 0;
  }
  return first_finish(&first) == FIRST_OK && second_finish(&second) == SECOND_OK;
}

int main(int count, char** arguments) {
  if (count != 3) return fprintf(stderr, "usage: %s FIRST.bin SECOND.bin\n", arguments[0]), 2;
  if (!read_image(arguments[1], first_image, sizeof first_image)) return 1;
  if (!read_image(arguments[2], second_image, sizeof second_image)) return 1;
  if (first_init(&first, first_arena, sizeof first_arena) != FIRST_OK) return 1;
  if (second_init(&second, second_arena, sizeof second_arena) != SECOND_OK) return 1;
  if (!run()) return fprintf(stderr, "an inference failed\n"), 1;

  const int8_t* outputs = NULL;
  size_t best = 0;
  if (first_output(&first, &outputs) != FIRST_OK) return 1;
  if (first_best_class(&first, &best) != FIRST_OK) return 1;
  print_outputs("first", outputs, FIRST_CLASSES, best);
  if (second_output(&second, &outputs) != SECOND_OK) return 1;
  if (second_best_class(&second, &best) != SECOND_OK) return 1;
  print_outputs("second", outputs, SECOND_CLASSES, best);
  return 0;
}
