// SPDX-License-Identifier: Apache-2.0
#include "app/subwords.h"

#include <stdbool.h>

static uint8_t small_letter(uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 'a' - 'A') : byte;
}

static bool is_space(uint8_t byte) { return byte <= 0x20u || byte == 0x7fu; }

// Of a word of several bytes; any other one that is no space is a word alone.
static bool in_word(uint8_t byte) {
  const uint8_t small = small_letter(byte);
  return (small >= 'a' && small <= 'z') || (byte >= '0' && byte <= '9') || byte >= 0x80u;
}

// Below 0, 0 or above: a piece against `bytes` of a text in small letters.
static int compare(const Subwords* s, uint32_t piece, const uint8_t* text, uint32_t bytes) {
  const uint32_t start = piece == 0u ? 0u : s->ends[piece - 1u];
  const uint32_t size = s->ends[piece] - start;
  for (uint32_t i = 0; i < size && i < bytes; ++i) {
    const int difference = s->text[start + i] - small_letter(text[i]);
    if (difference != 0) return difference;
  }
  return size < bytes ? -1 : size > bytes;
}

// The number of the piece that is this text; SUBWORDS_PADDING where there is none.
static uint32_t find(const Subwords* s, bool goes_on, const uint8_t* text, uint32_t bytes) {
  uint32_t low = goes_on ? s->first_count : 0u;
  uint32_t high = goes_on ? s->count : s->first_count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2u;
    const int order = compare(s, middle, text, bytes);
    if (order == 0) return s->numbers[middle];
    if (order < 0) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  return SUBWORDS_PADDING;
}

static void put(int8_t* tokens, uint32_t place, uint32_t limit, uint32_t number) {
  if (place >= limit) return;
  tokens[2u * place] = (int8_t)((int32_t)(number & 255u) - 128);
  tokens[2u * place + 1u] = (int8_t)((int32_t)(number >> 8) - 128);
}

// The tokens of one word from `place` on; returns the place behind them.
static uint32_t cut_word(const Subwords* s, const uint8_t* word, uint32_t bytes, int8_t* tokens,
                         uint32_t place, uint32_t limit) {
  uint32_t next = place;
  for (uint32_t at = 0; at < bytes && bytes <= s->longest_word;) {
    uint32_t size = bytes - at < s->longest_piece ? bytes - at : s->longest_piece;
    uint32_t number = SUBWORDS_PADDING;
    while (size > 0u && (number = find(s, at > 0u, word + at, size)) == SUBWORDS_PADDING) --size;
    if (size == 0u) {
      next = place;
      break;
    }
    put(tokens, next++, limit, number);
    at += size;
  }
  if (next > place) return next;
  put(tokens, place, limit, SUBWORDS_UNKNOWN);
  return place + 1u;
}

void subwords_cut(const Subwords* subwords, const uint8_t* text, uint32_t bytes, int8_t* tokens,
                  uint32_t limit) {
  uint32_t place = 0;
  for (uint32_t at = 0; at < bytes && place < limit;) {
    uint32_t end = at + 1u;
    if (in_word(text[at])) {
      while (end < bytes && in_word(text[end])) ++end;
    }
    if (!is_space(text[at])) {
      place = cut_word(subwords, text + at, end - at, tokens, place, limit);
    }
    at = end;
  }
  for (; place < limit; ++place) put(tokens, place, limit, SUBWORDS_PADDING);
}
