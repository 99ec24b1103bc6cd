// SPDX-License-Identifier: Apache-2.0
// Frames of a camera to a network, and its class to the console. See README.md.

#include <stdbool.h>
#include <stdint.h>

#include "app/console.h"
#include "cortexm/system.h"
#include "dcmi.h"
#include "net.h"
#include "net_camera.h"

#define FRAME_WIDTH 320u
#define FRAME_HEIGHT 240u
#define ROW_BYTES (FRAME_WIDTH * 2u)
#define LINE_BYTES 32u  // of the data cache

static net_state state;
static net_camera camera;
static NET_ALIGNED uint8_t arena[NET_ARENA_BYTES];
static __attribute__((aligned(LINE_BYTES))) uint8_t rows[2u * ROW_BYTES];

_Static_assert(ROW_BYTES % LINE_BYTES == 0, "DMA and the cache share no line");

// One frame into the network's input, row by row; true if none was lost.
static bool take_frame(void) {
  const net_camera_view view =
      net_camera_center(NET_CAMERA_RGB565, (uint16_t)FRAME_WIDTH, (uint16_t)FRAME_HEIGHT);
  if (net_camera_begin(&camera, &state, &view) != NET_OK) return false;
  dcmi_start(rows, ROW_BYTES);
  bool good = true;
  for (uint32_t taken = 0; good && taken < FRAME_HEIGHT;) {
    const uint8_t* row = 0;
    const dcmi_event event = dcmi_take_row(&row);
    if (event == DCMI_NOTHING) continue;
    good = event == DCMI_ROW && net_camera_rows(&camera, row, 1) == NET_OK;
    ++taken;
  }
  dcmi_stop();
  return good;
}

static void print_class(void) {
  size_t best = 0;
  const int8_t* output = 0;
  if (net_best_class(&state, &best) != NET_OK || net_output(&state, &output) != NET_OK) return;
  const char* name = net_class_name(best);
  if (name) {
    console_text(name);
  } else {
    console_unsigned(best);
  }
  console_text(", output ");
  console_signed(output[best]);
  console_text("\r\n");
}

int main(void) {
  dcmi_init();
  if (sensor_start() != 0) console_text("the camera does not answer\r\n");
  if (net_init(&state, arena, sizeof arena) != NET_OK) console_text("the arena is wrong\r\n");
  for (;;) {
    if (take_frame() && net_finish(&state) == NET_OK) {
      print_class();
    } else {
      console_text("frame lost\r\n");
    }
    console_idle();
  }
}
