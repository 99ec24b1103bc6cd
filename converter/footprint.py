# SPDX-License-Identifier: Apache-2.0
"""SRAM that the firmware takes beside a network: the part of the cost model that is not planned.

The linker says the same of every built image (tests/firmware/test_footprint.py): .data and .bss of
the application are fixed but for one counter an operator and the buffers for an image row. Flash is
code_size.py's.
"""

from __future__ import annotations

from boards.keys import DEFAULT_STACK_BYTES
from boards.placement import DATA_ALIGNMENT
from converter.compile.interface import STREAM_STATE_BYTES

# Stack reserved by a linker script, where no board says another; what a run used is measured
# (firmware.emulate).
STACK_RESERVED_BYTES = DEFAULT_STACK_BYTES
# Internal flash kept for code when the firmware decides by itself where the weights go: more than
# any runtime takes.
AUTO_ALLOWANCE_BYTES = 96 * 1024

_DATA_BYTES = 20  # .data: initial values
_BSS_BYTES = 60  # .bss: receiver, window, protocol and meter state
_WORD_BYTES = 4  # the linker ends .bss at a word
_OPERATOR_BYTES = 8  # cycle counter
_FRAME_BYTES = 8  # a frame's header and CRC around one image row


def arena_bytes(planned_bytes: int, streamed: bool) -> int:
    """The arena as the compiled runtime declares it, streaming state included."""
    return planned_bytes + (STREAM_STATE_BYTES if streamed else 0)


def static_bytes(operators: int, row_bytes: int, streamed: bool, *, systick: bool = False) -> int:
    """.data and .bss of the firmware, without the arena.

    Args:
      operators: of the fused model.
      row_bytes: of one image row, width * channels.
      streamed: the application keeps one row between the line and the model.
      systick: the core counts cycles with SysTick, and its wraps in a word.
    """
    return _DATA_BYTES + _bss_bytes(operators, row_bytes, streamed, systick)


def static_extent(operators: int, row_bytes: int, streamed: bool, *, systick: bool = False) -> int:
    """The same from the first byte to the last, with what the linker leaves between the two."""
    data = -(-_DATA_BYTES // DATA_ALIGNMENT) * DATA_ALIGNMENT
    return data + _bss_bytes(operators, row_bytes, streamed, systick)


def _bss_bytes(operators: int, row_bytes: int, streamed: bool, systick: bool) -> int:
    rows = row_bytes + _FRAME_BYTES + (row_bytes if streamed else 0)
    size = _BSS_BYTES + _OPERATOR_BYTES * operators + rows + (_WORD_BYTES if systick else 0)
    return -(-size // _WORD_BYTES) * _WORD_BYTES


def auto_room(flash_bytes: int) -> int:
    """Constants of more bytes go to external flash, where a board has one and nothing is said."""
    return max(0, flash_bytes - AUTO_ALLOWANCE_BYTES)
