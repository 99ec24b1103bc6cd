// SPDX-License-Identifier: Apache-2.0
// Cuts a text into numbers of sub-words, as keras_models/text/subwords.py does (WordPiece, uncased,
// of bytes): of each word the longest piece that it begins with, then the longest that goes on.
#ifndef FIRMWARE_APP_SUBWORDS_H_
#define FIRMWARE_APP_SUBWORDS_H_

#include <stdint.h>

#define SUBWORDS_PADDING 0u  // the number behind the end of a text
#define SUBWORDS_UNKNOWN 1u  // the number of a word that cannot be cut

// Pieces in the order of their bytes, those that begin a word before those that go on.
typedef struct {
  const uint8_t* text;      // of all pieces, one after the other
  const uint32_t* ends;     // [count] where each ends in `text`
  const uint16_t* numbers;  // [count]
  uint32_t first_count;     // pieces that begin a word
  uint32_t count;           // all pieces
  uint32_t longest_piece;   // bytes
  uint32_t longest_word;    // bytes; a longer one is unknown
} Subwords;

// Writes the first `limit` tokens of a text as the network takes them, int8 [limit][2]: the low and
// the high byte of each number, less 128; padding behind the last one.
void subwords_cut(const Subwords* subwords, const uint8_t* text, uint32_t bytes, int8_t* tokens,
                  uint32_t limit);

#endif  // FIRMWARE_APP_SUBWORDS_H_
