# SPDX-License-Identifier: Apache-2.0
"""SRAM that the firmware takes beside the arena: the part of the cost model that is not planned.

The linker says the same of every built image (tests/firmware/test_footprint.py): .data and .bss of
the application are fixed but for one counter an operator and the buffers for an image row.
"""

from __future__ import annotations

from converter.compile.header import STREAM_STATE_BYTES

# Stack reserved by the boards' linker scripts; what a run used is measured (firmware.emulate).
STACK_RESERVED_BYTES = 4096

_FIXED_BYTES = 80  # receiver, window, protocol and meter state
_OPERATOR_BYTES = 8  # cycle counter
_FRAME_BYTES = 8  # a frame's header and CRC around one image row


def arena_bytes(planned_bytes: int, streamed: bool) -> int:
    """The arena as the compiled runtime declares it, streaming state included."""
    return planned_bytes + (STREAM_STATE_BYTES if streamed else 0)


def static_bytes(operators: int, row_bytes: int, streamed: bool) -> int:
    """.data and .bss of the firmware, without the arena.

    Args:
      operators: of the fused model.
      row_bytes: of one image row, width * channels.
      streamed: the application keeps one row between the line and the model.
    """
    rows = row_bytes + _FRAME_BYTES + (row_bytes if streamed else 0)
    return _FIXED_BYTES + _OPERATOR_BYTES * operators + rows
