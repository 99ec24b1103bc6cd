// SPDX-License-Identifier: Apache-2.0
#include "app/picture.h"

#include "app/console.h"
#include "vit_model.h"

#if defined(VIT_MODEL_PICTURE_VALUES)

#define PIXELS (VIT_MODEL_PICTURE_HEIGHT * VIT_MODEL_PICTURE_WIDTH)

#define MOST_VALUES 32  // that are counted one by one

#if VIT_MODEL_PICTURE_VALUES == 1

static void print_place(const int8_t* picture, int pixel) {
  console_signed(picture[pixel]);
  console_text(" at row ");
  console_unsigned((uint32_t)(pixel / VIT_MODEL_PICTURE_WIDTH));
  console_text(" column ");
  console_unsigned((uint32_t)(pixel % VIT_MODEL_PICTURE_WIDTH));
}

void picture_print(const int8_t* picture) {
  int least = 0;
  int greatest = 0;
  for (int i = 1; i < PIXELS; ++i) {
    if (picture[i] < picture[least]) least = i;
    if (picture[i] > picture[greatest]) greatest = i;
  }
  console_text("least ");
  print_place(picture, least);
  console_text(", greatest ");
  print_place(picture, greatest);
}

#elif VIT_MODEL_PICTURE_VALUES <= MOST_VALUES

void picture_print(const int8_t* picture) {
  console_text("pixels");
  for (int value = 0; value < VIT_MODEL_PICTURE_VALUES; ++value) {
    uint32_t count = 0;
    for (int i = 0; i < PIXELS; ++i) {
      const int8_t* pixel = picture + i * VIT_MODEL_PICTURE_VALUES;
      int best = 0;
      for (int k = 1; k < VIT_MODEL_PICTURE_VALUES; ++k) {
        if (pixel[k] > pixel[best]) best = k;
      }
      if (best == value) ++count;
    }
    console_text(" ");
    console_unsigned(count);
  }
}

#else

void picture_print(const int8_t* picture) {
  (void)picture;
  console_text("picture");
}

#endif
#endif
