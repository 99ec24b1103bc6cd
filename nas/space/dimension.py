# SPDX-License-Identifier: Apache-2.0
"""What a dimension of a space declares; `nas.space.dimensions` lists those that there are.

Reading, checking, sampling, masks, cost, encoding for Optuna, mutation, crossover, evolution of the
space, reports and JSON loop over the declarations: none of them names a dimension.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from typing import Any

from keras_models.arch import ArchConfig
from nas.space.checks import check_choices, tuples
from nas.space.views import Network, Space


class Scope(enum.Enum):
    """Who chooses: the network once, each of its stages, or each of its blocks."""

    NETWORK = "network"
    STAGE = "stage"
    BLOCK = "block"


@dataclasses.dataclass(frozen=True)
class Mask:
    """Leading entries of a part of the supernet that a sub-network uses.

    Attributes:
      name: by which the supernet asks for it.
      count: how many entries, of (space, sub-network, its architecture with dense layers, block);
        in a stage of the stage's space, choice and architecture.
      per_block: each block has a mask of its own; otherwise `count` is asked for block 0.
    """

    name: str
    count: Callable[[Any, Any, Any, int], int]
    per_block: bool = True


REQUIRED: Any = object()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dimension:
    """One thing to choose.

    Attributes:
      name: of the value in a `SubnetConfig`, and in JSON.
      text: the value in a report, e.g. "{} wide".
      field: of `SearchSpace`, with the choices; the name unless given.
      default: of that field; a space whose field has it does not have the dimension.
      param: of an Optuna trial, for a block followed by its number; the name unless given.
      per_stage: each stage of a staged space has choices of its own, and chooses once.
      per_block: a sub-network has a value for each block (a tuple); otherwise one.
      stored: `SubnetConfig` has it as a field; otherwise it follows from the others.
      kinds, low, high: of a choice.
      conflicts: with some values of other dimensions there is no architecture.
      arch_field: of `ArchConfig`. A network costs what its architecture costs (`nas.cost`).
      masks: what it selects in the supernet.
      seldom: a mutation draws it again as it does depth and width (`nas.search.autoformer`).
      limits: least and largest choice that evolution of the space may reach; None: never moves.
    """

    name: str
    text: str
    field: str = ""
    default: Any = REQUIRED
    param: str = ""
    per_stage: bool = False
    per_block: bool = False
    stored: bool = True
    kinds: tuple[type, ...] = (int,)
    low: float = 1
    high: float = 1
    conflicts: bool = False
    arch_field: str = ""
    masks: tuple[Mask, ...] = ()
    seldom: bool = False
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for attribute in ("field", "param"):
            object.__setattr__(self, attribute, getattr(self, attribute) or self.name)

    # ---- in a space ----------------------------------------------------------------------------

    def choices(self, space: Any) -> tuple[Any, ...]:
        """What there is to choose from; () if the space does not have the dimension."""
        value = getattr(space, self.field)
        return () if value == self.default else tuple(value)

    def scope(self, space: Space) -> Scope:
        """Who chooses in this space."""
        if self.per_block:
            return Scope.BLOCK
        return Scope.STAGE if self.per_stage else Scope.NETWORK

    def with_choices(self, space: Any, choices: Sequence[float]) -> Any:
        """The space with other choices of this dimension."""
        kind = int if self.kinds == (int,) else float
        return space.replace(**{self.field: tuple(kind(c) for c in choices)})

    def validate(self, space: Any, where: str = "SearchSpace") -> None:
        """Raises SpaceError for wrong choices, which names them behind `where`."""
        value = getattr(space, self.field)
        if value != self.default:
            check_choices(f"{where}.{self.field}", value, self.kinds, self.low, self.high)

    def read_choices(self, where: str, data: Any) -> Any:
        """The field of a space from JSON."""
        return tuples(data)

    # ---- in a sub-network ----------------------------------------------------------------------

    @property
    def absent(self) -> Any:
        """What a `SubnetConfig` has where the space does not have the dimension."""
        return () if self.per_block else None

    def value(self, config: Network) -> Any:
        """What was chosen; for blocks that of the first."""
        value = getattr(config, self.name)
        return value[0] if self.per_block else value

    def read_value(self, where: str, data: Any) -> Any:
        """The field of a sub-network from JSON."""
        return tuples(data)

    def shown(self, value: Any) -> str:
        """A value as text."""
        return f"{value:g}"

    def arch(self, space: Space, config: Network) -> dict[str, Any]:
        """Fields of the architecture that follow from it."""
        return {self.arch_field: getattr(config, self.name)} if self.arch_field else {}

    def refined(self, space: Space, config: Network, arch: ArchConfig) -> ArchConfig:
        """What changes once the sizes of the layers are known."""
        return arch

    # ---- in a trial ----------------------------------------------------------------------------

    def codes(self, space: Space) -> list[Any]:
        """Choices of an Optuna parameter."""
        return list(self.choices(space))

    def encoded(self, space: Space, value: Any) -> Any:
        """The parameter of a value."""
        return value

    def decoded(self, space: Space, code: Any) -> Any:
        """The value of a parameter."""
        return code
