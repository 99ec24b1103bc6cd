// SPDX-License-Identifier: Apache-2.0
// The application as a device of MLPerf Tiny's runner; app/main.c is the one for the client.

#include <stdbool.h>
#include <stdint.h>

#include "app/console.h"
#include "app/external_flash.h"
#include "app/window.h"
#include "harness/harness.h"

int main(void) {
  const bool ready = external_flash_check();  // says what is wrong
  if (ready) harness_begin();
  for (;;) {
    uint8_t byte = 0;
    harness_clock();
    if (console_try_read(&byte)) {
      if (ready) harness_receive(byte);
    } else if (ready && window_requested()) {
      window_run();
    } else {
      console_idle();
    }
  }
}
