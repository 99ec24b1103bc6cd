// SPDX-License-Identifier: Apache-2.0
// The camera interface of the STM32F746 (RM0385 section 15) with DMA (section 8): one frame at a
// time, in rows that alternate between two buffers.
#ifndef CAMERA_DCMI_H_
#define CAMERA_DCMI_H_

#include <stdint.h>

typedef enum {
  DCMI_NOTHING = 0,  // no row yet
  DCMI_ROW = 1,      // `row` is one; valid until the next call
  DCMI_LOST = 2,     // rows came faster than they were taken, or a transfer failed: start again
} dcmi_event;

// Clocks, pins and the polarity of the synchronization signals; once.
void dcmi_init(void);

// Captures the next frame into `rows`: two buffers of `row_bytes` each, a multiple of 32 from an
// address that is one (a line of the data cache), 262,140 bytes at the most.
void dcmi_start(uint8_t* rows, uint32_t row_bytes);

// Whether a row has come.
dcmi_event dcmi_take_row(const uint8_t** row);

// Ends the capture.
void dcmi_stop(void);

// Sets the sensor up to send frames; in the file of your module. 0: it answers.
int sensor_start(void);

#endif  // CAMERA_DCMI_H_
