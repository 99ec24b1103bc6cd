// SPDX-License-Identifier: Apache-2.0
// One image at a time, row by row, into the compiled model.
//
// In resident mode the rows gather in the arena and the model runs at the end; in streamed mode
// every row goes into the model at once and the image is never held.
#ifndef FIRMWARE_APP_CLASSIFIER_H_
#define FIRMWARE_APP_CLASSIFIER_H_

#include <stdbool.h>
#include <stdint.h>

#include "vit_model.h"

// Bytes of one image row, int8 HWC.
#define CLASSIFIER_ROW_BYTES (VIT_MODEL_IMAGE_WIDTH * VIT_MODEL_IMAGE_CHANNELS)

// Starts an image; whatever was received of another one is dropped.
// False when the model refuses, as in all functions here.
bool classifier_begin(void);
// Rows received so far, 0 .. VIT_MODEL_IMAGE_HEIGHT.
int classifier_rows_received(void);
// The next `row_count` rows; the caller keeps the total within the image.
bool classifier_push(const int8_t* rows, int row_count);
// Where the next row may be written directly, followed by classifier_push(NULL, row_count);
// NULL in streamed mode.
int8_t* classifier_row_buffer(void);
// After the last row: runs what is left and returns the logits, int8[VIT_MODEL_CLASSES], or NULL.
const int8_t* classifier_finish(void);
// The index of the greatest logit, the first of equals.
int classifier_best(const int8_t* logits);

#endif  // FIRMWARE_APP_CLASSIFIER_H_
