# SPDX-License-Identifier: Apache-2.0
"""Which layers are to have weights of 4 bits."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from converter.tflite import TfliteError

if TYPE_CHECKING:
    from keras_models.staged import Architecture


@dataclasses.dataclass(frozen=True)
class WeightBits:
    """What is asked for.

    Attributes:
      bits: 4, or 0: as few layers of 4 bits as `constant_bytes` needs.
      constant_bytes: that the constants in an image of the fused file may take; only with 0.
      blocks: numbers, among those of attention, of the ones that have 4 bits, where not all layers
        do; only with 4.
      convolutions: beginnings of the names of the convolutions that have 4 bits as well; only with
        blocks.
    """

    bits: int
    constant_bytes: int | None = None
    blocks: frozenset[int] | None = None
    convolutions: tuple[str, ...] = ()

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
    def of_arch(cls, arch: Architecture) -> WeightBits | None:
        """Of an architecture's blocks; None where all have 8."""
        blocks = frozenset(block for block, own in enumerate(arch.weight_bits) if own == 4)
        convolutions = arch.small_convolutions
        return cls(4, None, blocks, convolutions) if blocks or convolutions else None

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
