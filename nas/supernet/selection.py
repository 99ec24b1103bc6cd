# SPDX-License-Identifier: Apache-2.0
"""How a sub-network's part of the supernet's weights is computed with: cut out, or masked.

A mask has ones for the leading entries that a sub-network has. Cutting takes those entries only, so
that a small sub-network costs what it would cost alone; sizes are known when a step runs, not when
it is traced, which TensorFlow's graphs can. Masking computes the whole width and multiplies with
the mask; sizes are those of the supernet, as JAX needs them. Both give the same numbers but for the
order of float32 sums, and one compiled step serves all sub-networks of a form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import keras
from keras import ops

Outputs = Callable[[], tuple[Any, ...]]
Mask = Any  # float (entries,), or None: all of them


class Selection(Protocol):
    """What is computed of a sub-network.

    Attributes:
      cuts: nothing but what a sub-network has is computed.
    """

    cuts: bool

    def size(self, mask: Mask, whole: int) -> Any:
        """Entries that are computed, of `whole`."""
        ...

    def lead(self, weight: Any, *masks: Mask) -> Any:
        """A weight's leading part, a mask for each axis."""
        ...

    def keep(self, x: Any, mask: Mask) -> Any:
        """x with zeros in its last axis where the mask has them, if they are computed at all."""
        ...

    def widened(self, x: Any, missing: int) -> Any:
        """x with so many zeros more in its last axis, if the whole width is computed."""
        ...

    def block(self, x: Any, gate: Any, block: Callable[[Any], Any]) -> Any:
        """block(x) where the gate is 1 or None, x where it is 0; a block is x plus something."""
        ...

    def either(self, gate: Any, taken: Outputs, left: Outputs) -> tuple[Any, ...]:
        """What `taken` gives where the gate is 1 or None, else what `left` gives, of the same
        shapes."""
        ...


class Sliced:
    """Leading entries are cut out when the step runs."""

    cuts = True

    def size(self, mask: Mask, whole: int) -> Any:
        return whole if mask is None else ops.cast(ops.sum(mask), "int32")

    def lead(self, weight: Any, *masks: Mask) -> Any:
        cut = tuple(slice(None) if mask is None else slice(self.size(mask, 0)) for mask in masks)
        return ops.convert_to_tensor(weight)[cut]

    def keep(self, x: Any, mask: Mask) -> Any:
        del mask
        return x

    def widened(self, x: Any, missing: int) -> Any:
        del missing
        return x

    def block(self, x: Any, gate: Any, block: Callable[[Any], Any]) -> Any:
        if gate is None:
            return block(x)
        return ops.cond(gate > 0, lambda: block(x), lambda: ops.convert_to_tensor(x))

    def either(self, gate: Any, taken: Outputs, left: Outputs) -> tuple[Any, ...]:
        return taken() if gate is None else ops.cond(gate > 0, taken, left)  # type: ignore[no-any-return]


class Masked:
    """The whole width is computed, and multiplied with masks."""

    cuts = False

    def size(self, mask: Mask, whole: int) -> Any:
        del mask
        return whole

    def lead(self, weight: Any, *masks: Mask) -> Any:
        del masks
        return ops.convert_to_tensor(weight)

    def keep(self, x: Any, mask: Mask) -> Any:
        return x if mask is None else x * mask

    def widened(self, x: Any, missing: int) -> Any:
        return ops.pad(x, [[0, 0]] * (len(x.shape) - 1) + [[0, missing]])

    def block(self, x: Any, gate: Any, block: Callable[[Any], Any]) -> Any:
        return block(x) if gate is None else x + gate * (block(x) - x)

    def either(self, gate: Any, taken: Outputs, left: Outputs) -> tuple[Any, ...]:
        if gate is None:
            return taken()
        return tuple(b + gate * (a - b) for a, b in zip(taken(), left(), strict=True))


def selection_of_backend() -> Selection:
    """Cutting where shapes may be unknown when a step is traced."""
    return Sliced() if keras.backend.backend() == "tensorflow" else Masked()
