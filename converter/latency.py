# SPDX-License-Identifier: Apache-2.0
"""Time of one inference from instructions and memory reads: an estimate, no board was timed.

Time = cycles / clock + what reads take that no cache and no tightly coupled memory answers. Cycles
are instructions times the cycles per instruction of the operator's kind. A weight is read once per
tile of tokens (converter.schedule.cost), because a small data cache keeps none of them until the
next. Clock, speeds and caches are the board's (boards/), one constant a region. The search, the
reports and the benchmark all call this: the search with estimated instructions, the benchmark with
counted ones and with the reads of a cache model that the emulator drives (benchmarks/latency.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from boards import Region

# Of the kernels on a Cortex-M7 with memory that never stalls, by the static dual-issue model of
# benchmarks/kernels/cycles.py; a test measures the kernels and compares.
_CORTEX_M7 = {
    "VitAttention": 1.154,
    "VitMlp": 1.195,
    "VitPatchEmbed": 1.170,
    "VitLayerNorm": 0.885,
    "VitLinear": 1.187,
}
_CYCLES_PER_INSTRUCTION = {"cortex-m7": _CORTEX_M7}

ASSUMES = (
    "cycles an instruction by a static model of the core; reads that miss the cache overlap with "
    "nothing; the higher figure adds a seek to each read that does not follow the last one"
)


def cycles_per_instruction(core: str, operator: str) -> float:
    """Of a kind of operator, e.g. "VitMlp"; 1 where nothing was measured: builtins, other cores."""
    return _CYCLES_PER_INSTRUCTION.get(core, {}).get(operator, 1.0)


@dataclasses.dataclass(frozen=True)
class Reads:
    """What an inference reads of a region past caches and tightly coupled memory.

    Attributes:
      size_bytes: in all.
      seeks: reads that do not follow the one before.
    """

    region: Region
    size_bytes: float
    seeks: float = 0.0

    @property
    def sequential_ms(self) -> float:
        """Without the seeks."""
        return self.region.read_milliseconds(self.size_bytes)

    @property
    def seek_ms(self) -> float:
        """The seeks alone."""
        return 1e-6 * self.seeks * self.region.seek_nanoseconds


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Milliseconds of one inference; `ASSUMES` says what that assumes.

    Attributes:
      compute_ms: with memory that never stalls.
      reads: by region.
    """

    compute_ms: float
    reads: tuple[Reads, ...] = ()

    @property
    def low_ms(self) -> float:
        """All reads in sequence."""
        return self.compute_ms + sum(read.sequential_ms for read in self.reads)

    @property
    def high_ms(self) -> float:
        """With the seeks."""
        return self.low_ms + sum(read.seek_ms for read in self.reads)

    def __str__(self) -> str:
        """E.g. "8,512 to 8,703 ms (estimate)"; one figure where the two are equal."""
        low, high = milliseconds(self.low_ms), milliseconds(self.high_ms)
        return f"{low if low == high else f'{low} to {high}'} ms (estimate)"


def milliseconds(time: float) -> str:
    """A time for people, without digits that mean nothing."""
    return f"{time:,.0f}" if time >= 100 else f"{time:,.1f}"


def estimate(cycles: float, clock_hz: int, reads: Iterable[Reads] = ()) -> Estimate:
    """The estimate for so many core cycles, without stalls, and reads."""
    return Estimate(1e3 * cycles / clock_hz, tuple(reads))
