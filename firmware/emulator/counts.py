# SPDX-License-Identifier: Apache-2.0
"""What an emulated inference took, and what it did wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class OperatorCount:
    """One operator of one inference.

    Attributes:
      name: as in the compiled model.
      instructions: executed, in all calls.
      calls: 1, or the number of pieces in streamed mode.
      stack_bytes: most stack used below the caller.
    """

    name: str
    instructions: int
    calls: int
    stack_bytes: int


@dataclasses.dataclass(frozen=True)
class Inference:
    """One classified image, or one inference of any other model.

    Attributes:
      logits: int8[classes]: the first output's bytes.
      instructions: executed between entering and leaving the model, exact; the firmware's own
        measurement is not in it.
      operators: the same per operator, in the model's order.
      outputs: the bytes of every output, in the model's order.
    """

    logits: NDArray[np.int8]
    instructions: int
    operators: tuple[OperatorCount, ...]
    outputs: tuple[bytes, ...]


@dataclasses.dataclass(frozen=True)
class FunctionCount:
    """Instructions that one function executed while the model ran."""

    name: str
    instructions: int


@dataclasses.dataclass(frozen=True)
class PlanViolation:
    """An operator that broke the memory plan: what it did, its name, the arena offset in bytes."""

    what: str
    operator: str
    offset: int
