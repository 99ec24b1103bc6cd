// SPDX-License-Identifier: Apache-2.0
// Images through a window in memory instead of the console: for the emulator, or a debugger.
#ifndef FIRMWARE_APP_WINDOW_H_
#define FIRMWARE_APP_WINDOW_H_

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_MAGIC 0x57494E44u

// The other side finds this structure by its symbol, `window`. All addresses are the firmware's.
typedef struct {
  uint32_t magic;         // WINDOW_MAGIC, written by the other side: use the window.
  uint32_t destination;   // The firmware wants `wanted_bytes` image bytes here ...
  uint32_t wanted_bytes;  // ... and the other side clears this when they are there.
  uint32_t logits;        // The last result's first output, 0 if the model failed ...
  uint32_t logits_bytes;  // ... its bytes; vit_model_outputs tells where others are ...
  uint32_t result_count;  // ... valid when this has grown.
} Window;

extern volatile Window window;

// True when the other side asked for the window.
bool window_requested(void);
// Serves images until the other side clears `magic`.
void window_run(void);
// Called while waiting for the other side. Does nothing; the emulator stops at its address.
void window_poll(void);

#endif  // FIRMWARE_APP_WINDOW_H_
