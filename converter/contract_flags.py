# SPDX-License-Identifier: Apache-2.0
"""The flags of a command that say how images become a network's input.

The contract itself (`converter.contract`) knows tasks, data sets and vocabularies. It is imported
where a flag is given: a `fuse` without one spends none of its time on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tflm_vit import flags

if TYPE_CHECKING:
    from converter.contract import Stated


class ContractFlags:
    """--mean, --std, --color_order and, where class names are of use, --labels of a command."""

    def __init__(self, to: flags.FlagSet, labels: bool = False) -> None:
        self._mean = flags.mean(to)
        self._std = flags.std(to)
        self._color_order = flags.color_order(to)
        self._labels = flags.labels(to) if labels else None

    @property
    def any(self) -> bool:
        """Whether one of them is given."""
        return bool(self._mean.value or self._std.value or self._color_order.value or self._names)

    @property
    def _names(self) -> str:
        return self._labels.value if self._labels is not None else ""

    def given(self) -> Stated:
        """What they say.

        Raises:
          ContractError: numbers that are none, one of --mean and --std alone, or no label file.
        """
        from converter.contract.choice import given

        return given(self._mean.value, self._std.value, self._color_order.value, self._names)
