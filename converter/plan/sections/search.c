// SPDX-License-Identifier: Apache-2.0
// The search of search.py, step for step: the same nodes, the same offsets, the same work.
//
// search.py says what is done and why it is sound; comments here are about memory only. Compiled
// by the host's compiler at first use and called through ctypes (native.py).

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { NONE, FOUND, LIMIT, NO_MEMORY };

// instance.py describes the fields.
typedef struct {
  int32_t units;
  int32_t sections;
  const int32_t* alignment;
  const int32_t* top;
  const int32_t* height;
  const int32_t* fixed;
  const int32_t* first;
  const int32_t* end;
  const int32_t* load_start;
  const int32_t* load;
  const int32_t* pair_start;
  const int32_t* pair;
  const int32_t* above;
  const int32_t* below;
  const int32_t* slack;
} Instance;

typedef struct {
  int32_t unit;
  int32_t rank;
} Entry;

typedef struct {
  int32_t unit;
  int32_t rank;
  int32_t offset;
  bool passed;
} Key;

typedef struct {
  int64_t value;
  int32_t unit;
} Ranked;

typedef struct {
  int32_t unit;
  int32_t lowest;
} Change;

typedef struct {
  Entry* entries;
  int32_t count;
  int32_t first;
  int32_t end;
} Part;

typedef struct {
  int32_t owner;
  Part part;  // Its entries are this frame's own, in the order of their offsets.
  Key* candidates;
  int32_t candidate_count;
  int32_t next_candidate;
  bool hatless;
  int32_t floor;
  int32_t floor_rank;
  int32_t changes;  // Undone down to here.
  int32_t placed;
  Part* parts;
  int32_t part_count;
  int32_t next_part;
  size_t pool;  // Free from here while no candidate is placed.
} Frame;

typedef struct {
  const Instance* in;
  const int32_t* order;
  bool total_first;
  int32_t capacity;
  int32_t most_slack;
  int64_t work;
  int32_t* lowest;
  int32_t* offset;
  int32_t* free;
  int32_t* crossing;
  int32_t* ends;
  Ranked* ranked;
  Key* keys;
  Change* changes;
  int32_t change_count;
  int32_t* placed;
  int32_t placed_count;
  Frame* frames;
  int32_t frame_count;
  char* pool;
  size_t pool_used;
} Search;

static int32_t aligned(int32_t value, int32_t alignment) {
  const int32_t over = alignment == 1 ? 0 : value % alignment;
  return over ? value + alignment - over : value;
}

static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

// The pool is large enough (section_search()): frames live at a time are of different sizes.
static void* taken(Search* s, size_t bytes) {
  void* at = s->pool + s->pool_used;
  s->pool_used += (bytes + 7) / 8 * 8;
  return at;
}

static void put(Search* s, int32_t unit, int32_t offset) {
  const Instance* in = s->in;
  s->offset[unit] = offset;
  s->placed[s->placed_count++] = unit;
  for (int32_t i = in->pair_start[unit]; i < in->pair_start[unit + 1]; ++i) {
    const int32_t other = in->pair[i];
    --s->free[other];
    if (s->offset[other] >= 0) continue;
    const int32_t lowest = aligned(offset + in->above[i], in->alignment[other]);
    if (lowest <= s->lowest[other]) continue;
    s->changes[s->change_count++] = (Change){other, s->lowest[other]};
    s->lowest[other] = lowest;
  }
  for (int32_t t = in->first[unit]; t + 1 < in->end[unit]; ++t) --s->crossing[t];
}

static void undo(Search* s, int32_t placed, int32_t changes) {
  const Instance* in = s->in;
  while (s->change_count > changes) {
    const Change* c = &s->changes[--s->change_count];
    s->lowest[c->unit] = c->lowest;
  }
  while (s->placed_count > placed) {
    const int32_t unit = s->placed[--s->placed_count];
    s->offset[unit] = -1;
    for (int32_t i = in->pair_start[unit]; i < in->pair_start[unit + 1]; ++i) {
      ++s->free[in->pair[i]];
    }
    for (int32_t t = in->first[unit]; t + 1 < in->end[unit]; ++t) ++s->crossing[t];
  }
}

static bool supported(const Search* s, Key* key, int32_t floor) {
  const Instance* in = s->in;
  int32_t best = INT32_MAX;
  for (int32_t i = in->pair_start[key->unit]; i < in->pair_start[key->unit + 1]; ++i) {
    const int32_t other = in->pair[i];
    if (s->offset[other] >= 0) continue;
    const int32_t at = larger(s->lowest[other], floor) + in->below[i];
    if (at < best) best = at;
  }
  if (best == INT32_MAX) return false;
  key->offset = larger(key->offset, aligned(larger(best, 0), in->alignment[key->unit]));
  return true;
}

static bool gathered(Search* s, const Part* part, int32_t floor, int32_t floor_rank,
                     int32_t* most) {
  const Instance* in = s->in;
  *most = INT32_MAX;
  for (int32_t i = 0; i < part->count; ++i) {
    const Entry e = part->entries[i];
    Key key = {e.unit, e.rank, s->lowest[e.unit], false};
    const int32_t over = key.offset + in->height[e.unit];
    if (over < *most) *most = over;
    key.passed = key.offset < floor || (key.offset == floor && e.rank < floor_rank);
    if (key.passed && !supported(s, &key, floor)) return false;
    if (key.offset + in->top[e.unit] > s->capacity) return false;
    if (in->fixed[e.unit] >= 0 && key.offset > in->fixed[e.unit]) return false;
    s->keys[i] = key;
  }
  return true;
}

static bool before(const Key* a, const Key* b) {
  if (a->offset != b->offset) return a->offset < b->offset;
  if (a->passed != b->passed) return b->passed;
  return a->rank < b->rank;
}

// By insertion: a part's entries are nearly in order, as the frame before left them.
static void sort_keys(Key* keys, int32_t count) {
  for (int32_t i = 1; i < count; ++i) {
    const Key key = keys[i];
    int32_t j = i;
    for (; j > 0 && before(&key, &keys[j - 1]); --j) keys[j] = keys[j - 1];
    keys[j] = key;
  }
}

static bool swept(Search* s, const Part* part) {
  const Instance* in = s->in;
  int32_t* ends = s->ends;
  memset(ends + part->first, 0, sizeof(int32_t) * (size_t)(part->end - part->first));
  for (int32_t i = 0; i < part->count; ++i) {
    const Key* key = &s->keys[i];
    const int32_t first = in->first[key->unit], span = in->end[key->unit] - first;
    const int32_t* load = in->load + in->load_start[key->unit];
    int32_t* end = ends + first;
    int32_t most = 0;
    for (int32_t t = 0; t < span; ++t) {
      end[t] = larger(end[t], key->offset) + load[t];
      most = larger(most, end[t]);
    }
    s->work += span;
    if (most > s->capacity + s->most_slack) return false;
  }
  for (int32_t t = part->first; t < part->end; ++t) {
    if (ends[t] > s->capacity + in->slack[t]) return false;
  }
  return true;
}

static bool expanded(Search* s, const Part* part, int32_t owner) {
  const Frame* from = &s->frames[owner];
  int32_t most;
  s->work += part->count;
  if (!gathered(s, part, from->floor, from->floor_rank, &most)) return false;
  sort_keys(s->keys, part->count);
  if (!swept(s, part)) return false;
  Frame* frame = &s->frames[s->frame_count++];
  *frame = (Frame){.owner = owner, .part = *part};
  frame->changes = s->change_count;
  frame->placed = s->placed_count;
  frame->part.entries = taken(s, sizeof(Entry) * (size_t)part->count);
  for (int32_t i = 0; i < part->count; ++i) {
    frame->part.entries[i] = (Entry){s->keys[i].unit, s->keys[i].rank};
    const bool fair = !s->keys[i].passed && s->keys[i].offset < most;
    if (fair) ++frame->candidate_count;
  }
  frame->candidates = taken(s, sizeof(Key) * (size_t)frame->candidate_count);
  int32_t k = 0;
  for (int32_t i = 0; i < part->count; ++i) {
    if (!s->keys[i].passed && s->keys[i].offset < most) frame->candidates[k++] = s->keys[i];
  }
  frame->pool = s->pool_used;
  return true;
}

static int by_value(const void* a, const void* b) {
  const int64_t x = ((const Ranked*)a)->value, y = ((const Ranked*)b)->value;
  return (x > y) - (x < y);
}

static void rank(Search* s, Part* part) {
  const Instance* in = s->in;
  int32_t* total = s->ends;
  memset(total + part->first, 0, sizeof(int32_t) * (size_t)(part->end - part->first));
  for (int32_t i = 0; i < part->count; ++i) {
    const int32_t unit = part->entries[i].unit, first = in->first[unit];
    const int32_t* load = in->load + in->load_start[unit];
    for (int32_t t = first; t < in->end[unit]; ++t) total[t] += load[t - first];
  }
  for (int32_t i = 0; i < part->count; ++i) {
    const int32_t unit = part->entries[i].unit;
    int32_t most = 0;
    for (int32_t t = in->first[unit]; t < in->end[unit]; ++t) most = larger(most, total[t]);
    const int64_t front = s->total_first ? INT32_MAX - most : 0;
    s->ranked[i] = (Ranked){front << 32 | s->order[unit], unit};
  }
  qsort(s->ranked, (size_t)part->count, sizeof(Ranked), by_value);
  for (int32_t i = 0; i < part->count; ++i) part->entries[i] = (Entry){s->ranked[i].unit, i};
}

static void split(Search* s, Frame* frame, const Entry* rest, int32_t count) {
  const Instance* in = s->in;
  const Part whole = frame->part;
  frame->parts = taken(s, sizeof(Part) * (size_t)(count + 1));
  frame->part_count = 0;
  for (int32_t t = whole.first, first = t; t < whole.end; ++t) {
    if (t + 1 < whole.end && s->crossing[t]) continue;
    Part part = {taken(s, 0), 0, first, t + 1};
    for (int32_t i = 0; i < count; ++i) {
      const int32_t unit = rest[i].unit;
      if (in->first[unit] >= first && in->end[unit] <= t + 1) part.entries[part.count++] = rest[i];
    }
    first = t + 1;
    if (part.count == 0) continue;
    taken(s, sizeof(Entry) * (size_t)part.count);
    rank(s, &part);
    frame->parts[frame->part_count++] = part;
  }
}

static bool cut(const Search* s, int32_t unit) {
  for (int32_t t = s->in->first[unit]; t + 1 < s->in->end[unit]; ++t) {
    if (!s->crossing[t]) return true;
  }
  return false;
}

static bool placed_next(Search* s, int32_t number) {
  Frame* frame = &s->frames[number];
  if (frame->next_candidate == frame->candidate_count) return false;
  const Key key = frame->candidates[frame->next_candidate++];
  s->pool_used = frame->pool;
  frame->hatless = s->free[key.unit] == 0;
  put(s, key.unit, key.offset);
  frame->floor = key.offset;
  frame->floor_rank = key.rank;
  frame->next_part = 0;
  const int32_t count = frame->part.count - 1;
  Entry* rest = taken(s, sizeof(Entry) * (size_t)count);
  int32_t k = 0;
  for (int32_t i = 0; i <= count; ++i) {
    if (frame->part.entries[i].unit != key.unit) rest[k++] = frame->part.entries[i];
  }
  if (cut(s, key.unit)) {
    frame->floor_rank = -1;
    split(s, frame, rest, count);
    return true;
  }
  frame->parts = taken(s, sizeof(Part));
  frame->parts[0] = (Part){rest, count, frame->part.first, frame->part.end};
  frame->part_count = count ? 1 : 0;
  return true;
}

// Undoes what was placed since the frame's last unit, that one included.
static void back_to(Search* s, int32_t number) {
  s->frame_count = number + 1;
  undo(s, s->frames[number].placed, s->frames[number].changes);
}

static int32_t search(Search* s, int64_t limit) {
  int32_t owner = 0;
  for (;;) {
    while (s->frames[owner].next_part == s->frames[owner].part_count) {
      if (owner == 0) return FOUND;
      owner = s->frames[owner].owner;
    }
    if (s->work >= limit) return LIMIT;
    Frame* from = &s->frames[owner];
    const Part part = from->parts[from->next_part++];
    if (expanded(s, &part, owner)) {
      owner = s->frame_count - 1;
    } else {
      if (owner == 0) return NONE;
      back_to(s, owner);
    }
    while (s->frames[owner].hatless || !placed_next(s, owner)) {
      owner = s->frames[owner].owner;
      if (owner == 0) return NONE;
      back_to(s, owner);
    }
  }
}

static void begin(Search* s) {
  const Instance* in = s->in;
  const size_t units = (size_t)in->units, sections = (size_t)in->sections;
  s->lowest = taken(s, sizeof(int32_t) * units);
  s->offset = taken(s, sizeof(int32_t) * units);
  s->free = taken(s, sizeof(int32_t) * units);
  s->placed = taken(s, sizeof(int32_t) * units);
  s->crossing = taken(s, sizeof(int32_t) * sections);
  s->ends = taken(s, sizeof(int32_t) * sections);
  s->keys = taken(s, sizeof(Key) * units);
  s->ranked = taken(s, sizeof(Ranked) * units);
  s->changes = taken(s, sizeof(Change) * (size_t)in->pair_start[units]);
  s->frames = taken(s, sizeof(Frame) * (units + 1));
  memset(s->crossing, 0, sizeof(int32_t) * sections);
  for (int32_t t = 0; t < in->sections; ++t) s->most_slack = larger(s->most_slack, in->slack[t]);
  Entry* all = taken(s, sizeof(Entry) * units);
  for (int32_t u = 0; u < in->units; ++u) {
    all[u] = (Entry){u, u};
    s->lowest[u] = larger(in->fixed[u], 0);
    s->offset[u] = -1;
    s->free[u] = in->pair_start[u + 1] - in->pair_start[u];
    for (int32_t t = in->first[u]; t + 1 < in->end[u]; ++t) ++s->crossing[t];
  }
  s->frames[0] = (Frame){.part = {all, in->units, 0, in->sections}, .floor_rank = -1};
  s->frame_count = 1;
  split(s, &s->frames[0], all, in->units);
}

// Bytes of the pool: begin()'s arrays and, for each unit that frames have in them, what expanded(),
// placed_next() and split() take. The frame above k others has at most units - k units.
static size_t pool_bytes(const Instance* in) {
  const size_t units = (size_t)in->units, pairs = (size_t)in->pair_start[in->units];
  const size_t unit = 3 * sizeof(Entry) + sizeof(Key) + sizeof(Part);
  const size_t rounding = 8 * 16;
  return (units + 1) * (units + 2) / 2 * (unit + 8) + (units + 2) * (rounding + sizeof(Part)) +
         units * (4 * sizeof(int32_t) + sizeof(Key) + sizeof(Ranked) + sizeof(Entry)) +
         (units + 1) * sizeof(Frame) + (size_t)in->sections * 2 * sizeof(int32_t) +
         pairs * sizeof(Change) + rounding;
}

// Returns FOUND and the units' offsets, NONE if there are none, LIMIT or NO_MEMORY. `work` counts
// what was looked at.
int32_t section_search(const Instance* in, const int32_t* order, int32_t total_first,
                       int32_t capacity, int64_t limit, int32_t* offsets, int64_t* work) {
  Search s = {.in = in, .order = order, .total_first = total_first, .capacity = capacity};
  s.pool = malloc(pool_bytes(in));
  if (!s.pool) return NO_MEMORY;
  begin(&s);
  const int32_t status = search(&s, limit);
  if (status == FOUND) memcpy(offsets, s.offset, sizeof(int32_t) * (size_t)in->units);
  *work = s.work;
  free(s.pool);
  return status;
}
