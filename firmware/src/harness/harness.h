// SPDX-License-Identifier: Apache-2.0
// The device's half of MLPerf Tiny's serial protocol, instead of frames (protocol.h).
//
// Its runner sends commands that end with '%', of words with a space between them, and reads lines
// until one says m-ready. Commands: name, profile, timestamp, help, db load N, db HH.. (bytes in
// hexadecimal), db print, infer N W (N inferences after W others), results; and one of our own,
// operators: cycles of each operator in the last inference. Lines that begin with m- are answers,
// with e- errors. In energy mode times are falling edges of a pin instead of lines.
#ifndef FIRMWARE_HARNESS_HARNESS_H_
#define FIRMWARE_HARNESS_HARNESS_H_

#include <stdint.h>

// Says that the board is there; call once.
void harness_begin(void);
// Feeds one received byte; runs a command when it ends one.
void harness_receive(uint8_t byte);
// Call at least every 2^32 cycles, so that no time is lost.
void harness_clock(void);

#endif  // FIRMWARE_HARNESS_HARNESS_H_
