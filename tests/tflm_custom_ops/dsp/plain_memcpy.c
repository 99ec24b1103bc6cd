// SPDX-License-Identifier: Apache-2.0
// A memcpy of bytes in the place of newlib's, one of whose branches Unicorn 2.1 takes for no
// instruction while accesses are watched.

#include <stddef.h>

// What this loop does must not become a call of itself.
__attribute__((optimize("no-tree-loop-distribute-patterns"))) void* memcpy(
    void* restrict to, const void* restrict from, size_t count) {
  unsigned char* target = (unsigned char*)to;
  const unsigned char* source = (const unsigned char*)from;
  for (size_t i = 0; i < count; ++i) target[i] = source[i];
  return to;
}
