// SPDX-License-Identifier: Apache-2.0
// One inference at a time, row by row, in the compiled model.
//
// In resident mode the rows gather in the arena and the model runs at the end; in streamed mode
// every row goes into the model at once and the image is never held. The rows of a model that takes
// no image are pieces of its inputs, one input after the other.
#ifndef FIRMWARE_APP_CLASSIFIER_H_
#define FIRMWARE_APP_CLASSIFIER_H_

#include <stdbool.h>
#include <stdint.h>

#include "vit_model.h"

// Bytes of one row: of an image int8 [width][channels].
#define CLASSIFIER_ROW_BYTES VIT_MODEL_ROW_BYTES

// Starts an image; whatever was received of another one is dropped.
// False when the model refuses, as in all functions here.
bool classifier_begin(void);
// Rows received so far, 0 .. VIT_MODEL_ROW_COUNT.
int classifier_rows_received(void);
// The next `row_count` rows; the caller keeps the total within the image.
bool classifier_push(const int8_t* rows, int row_count);
#if VIT_MODEL_IS_IMAGE
// Where the next row may be written directly, followed by classifier_push(NULL, row_count);
// NULL in streamed mode.
int8_t* classifier_row_buffer(void);
#if defined(VIT_MODEL_HAS_PIECES)
// Bytes of a text, at their place in it; false where there is no room for them. They lie in the
// arena until classifier_text_end() makes the input of them.
bool classifier_text(uint32_t at, const uint8_t* text, uint32_t bytes);
// All rows of the input from the first `bytes` of the text.
void classifier_text_end(uint32_t bytes);
#endif
#else
// Where the whole of an input may be written directly, instead of pushing its rows.
void* classifier_input(int index);
#endif
// After the last row: runs what is left and returns the first output, or NULL.
const void* classifier_finish(void);
// An output after classifier_finish().
const void* classifier_output(int index);
// The index of the greatest value of the first output, the first of equals.
int classifier_best(const void* output);

#endif  // FIRMWARE_APP_CLASSIFIER_H_
