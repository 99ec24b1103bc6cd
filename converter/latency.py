# SPDX-License-Identifier: Apache-2.0
"""Time of one inference from instructions and weight traffic: an estimate, no board was timed.

Time = cycles / clock + bytes of weights read / read speed of their memory, with no overlap of the
two. Cycles are instructions times the cycles per instruction of the operator's kind. A weight is
read once per tile of tokens (converter.schedule.cost), because a small data cache keeps none of
them until the next. Clock and speeds are the board's (boards/). The search and the benchmark both
call this, the search with estimated instructions, the benchmark with counted ones.
"""

from __future__ import annotations

from boards import Region

# Of the kernels on a Cortex-M7 with memory that never stalls, by the static dual-issue model of
# benchmarks/kernels/cycles.py; a test measures the kernels and compares.
_CORTEX_M7 = {
    "VitAttention": 1.155,
    "VitMlp": 1.196,
    "VitPatchEmbed": 1.170,
    "VitLayerNorm": 0.897,
    "VitLinear": 1.188,
}
_CYCLES_PER_INSTRUCTION = {"cortex-m7": _CORTEX_M7}


def cycles_per_instruction(core: str, operator: str) -> float:
    """Of a kind of operator, e.g. "VitMlp"; 1 where nothing was measured: builtins, other cores."""
    return _CYCLES_PER_INSTRUCTION.get(core, {}).get(operator, 1.0)


def milliseconds(cycles: float, clock_hz: int, weight_bytes: float, region: Region | None) -> float:
    """Estimated time.

    Args:
      cycles: with memory that never stalls.
      weight_bytes: read in one inference.
      region: where the weights lie; None for memory that never stalls.
    """
    reading = 0.0 if region is None else region.read_milliseconds(weight_bytes)
    return 1e3 * cycles / clock_hz + reading
