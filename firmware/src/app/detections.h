// SPDX-License-Identifier: Apache-2.0
// Boxes of a detector: the few best of those that its tokens say.
//
// The definition is keras_models/tasks/boxes.py; this gives the same boxes for int8 outputs.
#ifndef FIRMWARE_APP_DETECTIONS_H_
#define FIRMWARE_APP_DETECTIONS_H_

#include <stdint.h>

#define DETECTIONS_MOST 16
#define DETECTIONS_UNITS 256  // of a token's side

// What the outputs of a detector are: int8 [rows][columns][4 + classes].
typedef struct {
  int32_t rows;
  int32_t columns;
  int32_t classes;
  // Units of a distance q: ((q - zero_point) * multiplier + half) >> shift.
  int32_t multiplier;
  int32_t shift;
  int32_t zero_point;
  int32_t least;  // The lowest score of a box.
} DetectionGrid;

typedef struct {
  int32_t token;
  int32_t label;
  int32_t score;     // Of the class, as the network says it.
  int32_t edges[4];  // Left, top, right, bottom in units.
} Detection;

// Writes at most DETECTIONS_MOST boxes, the best first; returns how many.
int detections_find(const DetectionGrid* grid, const int8_t* outputs, Detection* found);

#endif  // FIRMWARE_APP_DETECTIONS_H_
