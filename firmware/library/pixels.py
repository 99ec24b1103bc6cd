# SPDX-License-Identifier: Apache-2.0
"""What bytes of an image become in a network's input, as a table: exact, without floating point."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.compile.interface import ImageInterface
from converter.contract import Contract, ContractError, contract_of, quantized
from converter.contract.contract import BGR
from converter.tflite import Model


@dataclasses.dataclass(frozen=True)
class Pixels:
    """How pixels become the input.

    Attributes:
      contract: the file's, or the one that its input's range allows.
      table: int8 (1 or channels, 256): of each byte, for each channel of the network.
    """

    contract: Contract
    table: NDArray[np.int8]

    @property
    def reversed_channels(self) -> bool:
        """Whether the network's first channel is the last of a pixel."""
        return self.contract.color_order == BGR


def pixels_of(model: Model, image: ImageInterface) -> Pixels | None:
    """The table of an image classifier; None where nothing says how bytes become its input."""
    try:
        contract = contract_of(model)
    except ContractError:
        return None
    every = np.repeat(np.arange(256, dtype=np.uint8)[:, None], image.channels, axis=1)
    real = contract.normalization.apply(every)
    values = quantized(real, image.input_scale, image.input_zero_point).T
    equal = bool((values == values[:1]).all())
    return Pixels(contract, np.ascontiguousarray(values[:1] if equal else values))
