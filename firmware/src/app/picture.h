// SPDX-License-Identifier: Apache-2.0
// What an output that is a picture says, in a line of text.
#ifndef FIRMWARE_APP_PICTURE_H_
#define FIRMWARE_APP_PICTURE_H_

#include <stdint.h>

// Prints a summary of int8 [VIT_MODEL_PICTURE_HEIGHT][VIT_MODEL_PICTURE_WIDTH]
// [VIT_MODEL_PICTURE_VALUES]: of one value a pixel the least and the greatest and where they are,
// the first of equals; of several how many pixels each is the greatest of, the first of equals
// (of more than 32 nothing).
void picture_print(const int8_t* picture);

#endif  // FIRMWARE_APP_PICTURE_H_
