// SPDX-License-Identifier: Apache-2.0
#include "app/detections.h"

#include <stdbool.h>

#define EDGES 4

static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }
static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

static int32_t area_between(int32_t left, int32_t top, int32_t right, int32_t bottom) {
  return right > left && bottom > top ? (right - left) * (bottom - top) : 0;
}

static int32_t area(const int32_t* e) { return area_between(e[0], e[1], e[2], e[3]); }

// Whether two boxes share more than half of their union.
static bool is_same(const int32_t* a, const int32_t* b) {
  const int32_t both = area_between(larger(a[0], b[0]), larger(a[1], b[1]), smaller(a[2], b[2]),
                                    smaller(a[3], b[3]));
  return 2 * both > area(a) + area(b) - both;
}

static int32_t units(const DetectionGrid* grid, int8_t value) {
  const int64_t product = (int64_t)(value - grid->zero_point) * grid->multiplier;
  return (int32_t)((product + ((int64_t)1 << (grid->shift - 1))) >> grid->shift);
}

static void set_edges(const DetectionGrid* grid, const int8_t* values, Detection* box) {
  const int32_t ends[2] = {grid->columns * DETECTIONS_UNITS, grid->rows * DETECTIONS_UNITS};
  const int32_t places[2] = {box->token % grid->columns, box->token / grid->columns};
  for (int i = 0; i < EDGES; ++i) {
    const int32_t middle = places[i & 1] * DETECTIONS_UNITS + DETECTIONS_UNITS / 2;
    const int32_t distance = units(grid, values[i]);
    const int32_t edge = i < 2 ? middle - distance : middle + distance;
    box->edges[i] = larger(0, smaller(edge, ends[i & 1]));
  }
}

static void set_class(const DetectionGrid* grid, const int8_t* values, Detection* box) {
  const int8_t* logits = values + EDGES;
  box->label = 0;
  for (int32_t i = 1; i < grid->classes; ++i) {
    if (logits[i] > logits[box->label]) box->label = i;
  }
  box->score = logits[box->label];
}

// A box that was found is the same as itself, so that no token is found twice.
static bool is_new(const Detection* box, const Detection* found, int count) {
  if (area(box->edges) == 0) return false;
  for (int i = 0; i < count; ++i) {
    if (is_same(box->edges, found[i].edges)) return false;
  }
  return true;
}

int detections_find(const DetectionGrid* grid, const int8_t* outputs, Detection* found) {
  const int32_t tokens = grid->rows * grid->columns;
  int count = 0;
  while (count < DETECTIONS_MOST) {
    int32_t best = grid->least - 1;
    for (int32_t token = 0; token < tokens; ++token) {
      const int8_t* values = outputs + token * (EDGES + grid->classes);
      Detection box = {.token = token};
      set_class(grid, values, &box);
      if (box.score <= best) continue;
      set_edges(grid, values, &box);
      if (!is_new(&box, found, count)) continue;
      best = box.score;
      found[count] = box;
    }
    if (best < grid->least) break;
    ++count;
  }
  return count;
}
