# SPDX-License-Identifier: Apache-2.0
"""Which layers are to have weights of 4 bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from converter.tflite import TfliteError


@dataclasses.dataclass(frozen=True)
class WeightBits:
    """What is asked for.

    Attributes:
      bits: 4, or 0: as few layers of 4 bits as `constant_bytes` needs.
      constant_bytes: that the constants in an image of the fused file may take; only with 0.
      blocks: numbers, among those of attention, of the ones that have 4 bits, where not all layers
        do; only with 4.
    """

    bits: int
    constant_bytes: int | None = None
    blocks: frozenset[int] | None = None

    @classmethod
    def chosen(cls, bits: int, constant_bytes: int | None) -> WeightBits | None:
        """Of a number of bits or a limit; None for 8 bits.

        Raises:
          TfliteError: neither 4 nor 8, or 4 with a limit.
        """
        if bits not in (4, 8):
            raise TfliteError(f"weight_bits: got {bits}, expected 4 or 8")
        if constant_bytes is None:
            return cls(4) if bits == 4 else None
        if bits == 4:
            raise TfliteError("constant_bytes: got it with weight_bits 4, expected one of the two")
        return cls(0, constant_bytes)

    @classmethod
    def of_blocks(cls, bits: Sequence[int]) -> WeightBits | None:
        """Of an architecture's `weight_bits`; None where all blocks have 8."""
        blocks = frozenset(block for block, own in enumerate(bits) if own == 4)
        return cls(4, blocks=blocks) if blocks else None

    @classmethod
    def of(cls, text: str, flash: int | None, code_bytes: int) -> WeightBits | None:
        """Of --weight_bits, --flash and --code_bytes; None for 8 bits.

        Raises:
          ValueError: flags that do not go together.
        """
        if text != "auto":
            if flash is not None:
                raise ValueError(f"--flash goes with --weight_bits=auto, got {text}")
            return cls(4) if text == "4" else None
        if flash is None:
            raise ValueError("--weight_bits=auto needs --flash, the bytes that must do")
        return cls(0, max(0, flash - code_bytes))
