# SPDX-License-Identifier: Apache-2.0
"""The weights image: every constant of the model, each 16-byte aligned, equal ones once."""

from __future__ import annotations

import enum

from converter.compile.errors import CompileError

ALIGNMENT = 16
SYMBOL = "vit_model_weights"


def stored_bytes(size_bytes: int) -> int:
    """What an array of so many bytes takes in the image."""
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


class WeightOrder(enum.Enum):
    """The order of the weights of dense layers, which is the kernels'."""

    PAIRS = "pairs"  # Portable C and the DSP kernels; what a file has.
    ROWS = "rows"  # The Helium kernels.


class WeightsImage:
    """Collects constants and gives each its byte offset."""

    def __init__(self, order: WeightOrder = WeightOrder.PAIRS) -> None:
        self.order = order
        self._content = bytearray()
        self._offsets: dict[bytes, int] = {}

    def add(self, data: bytes) -> int:
        """Byte offset of ``data`` in the image, a multiple of 16."""
        if data not in self._offsets:
            self._offsets[data] = len(self._content)
            self._content += data + b"\0" * (-len(data) % ALIGNMENT)
            if len(self._content) >= 1 << 31:
                raise CompileError("the constants exceed 2 GiB")
        return self._offsets[data]

    @property
    def size_bytes(self) -> int:
        """Of what was added so far."""
        return len(self._content)

    def bytes(self) -> bytes:
        """The whole image; never empty, so that the symbol exists."""
        return bytes(self._content) or b"\0" * ALIGNMENT


def pointer(ctype: str, offset: int) -> str:
    """C address constant of the array at ``offset``; ``ctype`` is the element type."""
    base = SYMBOL if offset == 0 else f"{SYMBOL} + {offset}"
    return f"(const {ctype}*)(const void*)({base})"
