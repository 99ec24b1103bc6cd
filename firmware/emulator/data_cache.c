// SPDX-License-Identifier: Apache-2.0
// A set-associative write-back data cache, fed with every load and store of the emulated core.
//
// The model has no time. It counts, by operator and region: accesses, line fills, fills that do not
// follow the region's fill before (seeks), and dirty lines written back. Memory below a region's
// `cached` address is tightly coupled: its accesses are counted and ask no cache. A store that
// misses fills the line first where the region allocates on writes, else it goes past the cache.

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "counter.h"

#define MAX_REGIONS 16u
#define UC_MEM_WRITE 17

typedef struct {
  uint64_t loads;
  uint64_t stores;
  uint64_t fills;
  uint64_t seeks;
  uint64_t write_backs;
  uint64_t through;  // stores past the cache
} CacheCounts;

typedef struct {
  uint32_t base, cached, end;
  bool writes_allocate;
  uint32_t next_line;  // that a fill in sequence would have
} CachedRegion;

typedef struct {
  uint32_t line;  // address / line_bytes
  uint32_t region;
  bool valid, dirty;
  uint64_t used;
} CacheLine;

typedef struct {
  const void* counter;
  uint32_t line_bytes, ways, sets;
  bool random;
  uint32_t state;  // of the random replacement
  uint64_t now;
  uint32_t region_count, operator_count;
  CachedRegion regions[MAX_REGIONS];
  CacheLine* lines;     // [sets][ways]
  CacheCounts* counts;  // [operator_count][MAX_REGIONS]
} DataCache;

DataCache* data_cache_new(uint32_t line_bytes, uint32_t ways, uint32_t sets, bool random,
                          uint32_t operator_count) {
  DataCache* cache = calloc(1, sizeof(DataCache));
  if (cache == NULL) return NULL;
  *cache = (DataCache){.line_bytes = line_bytes,
                       .ways = ways,
                       .sets = sets,
                       .random = random,
                       .state = 1u,
                       .operator_count = operator_count};
  cache->lines = calloc((size_t)ways * sets, sizeof(CacheLine));
  cache->counts = calloc((size_t)operator_count * MAX_REGIONS, sizeof(CacheCounts));
  return cache;
}

void data_cache_free(DataCache* cache) {
  free(cache->lines);
  free(cache->counts);
  free(cache);
}

int data_cache_add_region(DataCache* cache, uint32_t base, uint32_t cached, uint32_t end,
                          bool writes_allocate) {
  if (cache->region_count == MAX_REGIONS) return -1;
  cache->regions[cache->region_count++] = (CachedRegion){base, cached, end, writes_allocate, 0u};
  return 0;
}

void data_cache_set_counter(DataCache* cache, const void* counter) { cache->counter = counter; }

// The counts of an operator in a region.
const CacheCounts* data_cache_counts(const DataCache* cache, uint32_t operator_index,
                                     uint32_t region) {
  return &cache->counts[operator_index * MAX_REGIONS + region];
}

static CacheLine* victim_of(DataCache* cache, CacheLine* set) {
  CacheLine* oldest = set;
  for (uint32_t way = 0; way < cache->ways; ++way) {
    if (!set[way].valid) return &set[way];
    if (set[way].used < oldest->used) oldest = &set[way];
  }
  if (!cache->random) return oldest;
  cache->state ^= cache->state << 13;  // xorshift32
  cache->state ^= cache->state >> 17;
  cache->state ^= cache->state << 5;
  return &set[cache->state % cache->ways];
}

static void access_line(DataCache* cache, CacheCounts* counts, uint32_t number, uint32_t line,
                        bool write) {
  CachedRegion* region = &cache->regions[number];
  CacheLine* set = cache->lines + (size_t)(line % cache->sets) * cache->ways;
  ++cache->now;
  for (uint32_t way = 0; way < cache->ways; ++way) {
    if (!set[way].valid || set[way].line != line) continue;
    set[way].used = cache->now;
    if (!write) return;
    if (region->writes_allocate) {
      set[way].dirty = true;
    } else {
      counts[number].through++;
    }
    return;
  }
  if (write && !region->writes_allocate) {
    counts[number].through++;
    return;
  }
  CacheLine* victim = victim_of(cache, set);
  if (victim->valid && victim->dirty) counts[victim->region].write_backs++;
  counts[number].fills++;
  if (line != region->next_line) counts[number].seeks++;
  region->next_line = line + 1u;
  *victim = (CacheLine){line, number, true, write, cache->now};
}

// One load or store of an operator; what lies in no region is not counted.
void data_cache_access(DataCache* cache, uint32_t operator_index, uint32_t address, uint32_t size,
                       bool write) {
  for (uint32_t number = 0; number < cache->region_count; ++number) {
    const CachedRegion* region = &cache->regions[number];
    if (address < region->base || address >= region->end) continue;
    CacheCounts* counts = cache->counts + (size_t)operator_index * MAX_REGIONS;
    if (write) {
      counts[number].stores++;
    } else {
      counts[number].loads++;
    }
    if (address < region->cached) return;
    const uint32_t last = (address + size - 1u) / cache->line_bytes;
    for (uint32_t line = address / cache->line_bytes; line <= last; ++line) {
      access_line(cache, counts, number, line, write);
    }
    return;
  }
}

// UC_HOOK_MEM_READ and UC_HOOK_MEM_WRITE.
void data_cache_hook(void* uc, int type, uint64_t address, int size, int64_t value,
                     void* user_data) {
  DataCache* cache = user_data;
  (void)uc;
  (void)value;
  const uint32_t running = counter_running(cache->counter);
  if (running >= cache->operator_count) return;
  data_cache_access(cache, running, (uint32_t)address, (uint32_t)size, type == UC_MEM_WRITE);
}
