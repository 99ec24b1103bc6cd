// SPDX-License-Identifier: Apache-2.0
// The application: classifies images that arrive on the console or through the memory window.

#include <stdbool.h>
#include <stdint.h>

#include "app/console.h"
#include "app/external_flash.h"
#include "app/protocol.h"
#include "app/window.h"
#include "board_config.h"
#include "cortexm/system.h"
#include "vit_model.h"

static void print_banner(void) {
  console_text("\r\n" BOARD_TITLE ", ");
  console_unsigned(BOARD_CLOCK_SYSTEM_HZ / 1000000u);
#if VIT_MODEL_IS_IMAGE
  console_text(" MHz: image ");
  console_unsigned(VIT_MODEL_IMAGE_HEIGHT);
  console_text("x");
  console_unsigned(VIT_MODEL_IMAGE_WIDTH);
  console_text("x");
  console_unsigned(VIT_MODEL_IMAGE_CHANNELS);
  console_text(VIT_MODEL_STREAMED ? " streamed, " : " resident, ");
  console_unsigned(VIT_MODEL_CLASSES);
  console_text(" classes, arena ");
#else
  console_text(" MHz: ");
  console_unsigned(VIT_MODEL_INPUT_COUNT);
  console_text(" inputs of ");
  console_unsigned(VIT_MODEL_INPUT_BYTES);
  console_text(" bytes, ");
  console_unsigned(VIT_MODEL_OUTPUT_COUNT);
  console_text(" outputs of ");
  console_unsigned(VIT_MODEL_OUTPUT_BYTES);
  console_text(" bytes, arena ");
#endif
  console_unsigned(VIT_MODEL_ARENA_BYTES);
  console_text(" bytes\r\n");
}

int main(void) {
  print_banner();
  const bool ready = external_flash_check();
  if (!ready) protocol_refuse_images();
  for (;;) {
    uint8_t byte = 0;
    if (console_try_read(&byte)) {
      protocol_receive(byte);
    } else if (ready && window_requested()) {
      window_run();
    } else {
      console_idle();
    }
  }
}
