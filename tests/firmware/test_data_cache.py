# SPDX-License-Identifier: Apache-2.0
"""The cache model: known sequences, a model of a few lines of Python, and the emulated board."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards import get_board
from boards.core import Cache, LineReplacement
from firmware.emulator.data_cache import DataCache, RegionAccesses
from firmware.emulator.emulator import Emulator
from firmware.errors import FirmwareError
from tests.firmware import fake_model

BOARD = get_board("stm32f746g_disco")
REGIONS = tuple(BOARD.region(name) for name in ("SRAM", "QSPI"))
SRAM, QSPI = REGIONS
CACHED = SRAM.cached_base
SHAPE = BOARD.core.data_cache
WAY_BYTES = SHAPE.size_bytes // SHAPE.ways  # lines so far apart share a set


def run(shape: Cache, sequence) -> dict[str, RegionAccesses]:
    cache = DataCache(shape, REGIONS)
    for address, size, write in sequence:
        cache.access(address, size, write=write)
    return cache.accesses()


def loads(*addresses):
    return [(address, 4, False) for address in addresses]


def test_tightly_coupled_memory_asks_no_cache():
    found = run(SHAPE, loads(SRAM.base, SRAM.base, CACHED - 4))
    assert found["SRAM"] == RegionAccesses(loads=3)


def test_least_recently_used_line_goes():
    lines = [CACHED + i * WAY_BYTES for i in range(5)]
    # Four fill the set; the first is used again, so that the fifth takes the place of the second.
    found = run(SHAPE, loads(*lines[:4], lines[0], lines[4], lines[0], lines[1]))
    assert found["SRAM"].fills == 6
    # Five in turn never hit.
    assert run(SHAPE, loads(*(3 * lines)))["SRAM"].fills == 15
    shape = dataclasses.replace(SHAPE, replacement=LineReplacement.RANDOM)
    assert 5 < run(shape, loads(*(30 * lines)))["SRAM"].fills < 150


def test_seeks_write_backs_and_unaligned_accesses():
    found = run(SHAPE, loads(*range(QSPI.base, QSPI.base + 256, 4), QSPI.base + 4096))
    assert found["QSPI"] == RegionAccesses(loads=65, fills=9, seeks=2)
    # A word across two lines fills both.
    assert run(SHAPE, [(CACHED + 30, 4, False)])["SRAM"].fills == 2
    stores = [(CACHED + i * WAY_BYTES, 4, True) for i in range(5)]
    assert run(SHAPE, stores)["SRAM"] == RegionAccesses(stores=5, fills=5, seeks=5, write_backs=1)


def reference(shape: Cache, sequence) -> dict[str, tuple[int, int, int]]:
    """(fills, seeks, write-backs) by region: lists of lines, the oldest first."""
    sets: dict[int, list[list]] = {}
    found = {region.name: [0, 0, 0] for region in REGIONS}
    expected = dict.fromkeys(found, 0)
    for address, size, write in sequence:
        region = next(r for r in REGIONS if address in r)
        if address < region.cached_base:
            continue
        for line in sorted({address // shape.line_bytes, (address + size - 1) // shape.line_bytes}):
            ways = sets.setdefault(line % shape.sets, [])
            hit = next((way for way in ways if way[0] == line), None)
            if hit:
                ways.remove(hit)
            else:
                if len(ways) == shape.ways:
                    old = ways.pop(0)
                    found[old[1]][2] += old[2]
                hit = [line, region.name, False]
                found[region.name][0] += 1
                found[region.name][1] += line != expected[region.name]
                expected[region.name] = line + 1
            hit[2] |= write
            ways.append(hit)
    return {name: tuple(counts) for name, counts in found.items()}


addresses = st.one_of(
    st.integers(CACHED - 64, CACHED + 300).map(lambda a: (a, True)),
    st.integers(0, 40).map(lambda i: (CACHED + 32 * i, True)),
    st.integers(0, 40).map(lambda i: (QSPI.base + 32 * i, False)),
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(addresses, st.sampled_from([1, 2, 4, 8]), st.booleans()), max_size=300),
    st.sampled_from([(16, 1, 2), (32, 2, 2), (32, 4, 1)]),
)
def test_it_counts_as_lists_do(drawn, geometry):
    line_bytes, ways, sets = geometry
    shape = Cache(line_bytes, ways, LineReplacement.LRU, line_bytes * ways * sets)
    sequence = [(a, size, write and stores) for (a, stores), size, write in drawn]
    found = run(shape, sequence)
    expected = reference(shape, sequence)
    assert {n: (f.fills, f.seeks, f.write_backs) for n, f in found.items()} == expected
    assert sum(f.loads + f.stores for f in found.values()) == len(sequence)


def test_the_emulator_drives_it(build_fake):
    """Operators' accesses, without a change of counts or logits; no core without a cache."""
    elf, image = build_fake().elf, fake_model.images(1)[0]
    plain = Emulator(BOARD, elf).classify(image)
    emulator = Emulator(BOARD, elf)
    cache = emulator.watch_cache()
    watched = emulator.classify(image)
    np.testing.assert_array_equal(watched.logits, plain.logits)
    assert watched.operators == plain.operators
    first = cache.accesses(0)
    assert first["SRAM"].loads > 0
    assert first["FLASH"].fills > 0
    emulator.board = get_board("openmv_cam_m4")
    with pytest.raises(FirmwareError, match="openmv_cam_m4 has no data cache"):
        emulator.watch_cache()
