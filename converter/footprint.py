# SPDX-License-Identifier: Apache-2.0
"""SRAM and flash that the firmware takes beside a network: the part of the cost model that is not
planned.

The linker says the same of every built image (tests/firmware/test_footprint.py): .data and .bss of
the application are fixed but for one counter an operator and the buffers for an image row; code and
tables grow with the number of operators, and with the kernels that are linked.
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

# Flash beside the constants, measured: tests/firmware/test_footprint.py builds images. Kernels,
# application and drivers, in units of 16 bytes; the cores with DSP have assembly for four kernels.
CODE_SLACK_BYTES = 704
_CODE_BYTES = {
    "cortex-m0plus": 23_856,
    "cortex-m3": 20_640,
    "cortex-m4": 36_528,
    "cortex-m7": 36_800,
    "cortex-m33": 36_160,
}
_OPERATOR_CODE_BYTES = 472  # parameters, and the call; a multiple of 8 (nas/cost/census.py)
_STREAMED_CODE_BYTES = 704
_STEM_CODE_BYTES = 1136

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


def code_bytes(operators: int, streamed: bool, stem: bool, core: str) -> int:
    """Flash beside the constants: code, parameters of the operators, the application's tables.

    No less than the linker says, and at most CODE_SLACK_BYTES more.

    Args:
      stem: there are convolutions.
      core: e.g. "cortex-m7".
    """
    fixed = _CODE_BYTES[core]
    extra = (_STREAMED_CODE_BYTES if streamed else 0) + (_STEM_CODE_BYTES if stem else 0)
    return fixed + _OPERATOR_CODE_BYTES * operators + extra


def auto_room(flash_bytes: int) -> int:
    """Constants of more bytes go to external flash, where a board has one and nothing is said."""
    return max(0, flash_bytes - AUTO_ALLOWANCE_BYTES)
