# SPDX-License-Identifier: Apache-2.0
"""One network of a space: a value of each dimension. Fields are made from `DIMENSIONS`."""

from __future__ import annotations

import dataclasses
from typing import Any

from nas.space.checks import fail, known, made
from nas.space.dimension import REQUIRED
from nas.space.dimensions import DIMENSIONS

STORED = tuple(d for d in DIMENSIONS if d.stored)
OF_BLOCKS = tuple(d for d in DIMENSIONS if d.per_block)
# Of blocks, and came later than files that must stay what they are: written where a space has them.
LATER = frozenset(d.name for d in OF_BLOCKS if d.default == ())
Field = tuple[str, Any] | tuple[str, Any, Any]


def _fields() -> list[Field]:
    return [
        (d.name, Any) if d.default is REQUIRED else (d.name, Any, d.absent) for d in STORED
    ]  # fmt: skip


def _chosen(names: list[str]) -> list[Field]:
    return [(name, Any, None) for name in names]


_Network: Any = dataclasses.make_dataclass("_Network", _fields(), frozen=True)
_Block: Any = dataclasses.make_dataclass(
    "_Block", _chosen([d.name for d in OF_BLOCKS]), frozen=True
)
_Shared: Any = dataclasses.make_dataclass("_Shared", _chosen([d.name for d in STORED]), frozen=True)


class BlockChoice(_Block):
    """What one block is: a value of each per-block dimension, None where the space has none."""


class NetworkChoice(_Shared):
    """What holds for a whole network: a value of each dimension that it chooses once, but depth.

    The others are None.
    """


class SubnetConfig(_Network):
    """One network of a space.

    Fields in the order of `DIMENSIONS`, without depth: one value, or a tuple with one value per
    block. The rank ratio is a tuple also where the network has one ratio. Dimensions that a space
    does not have are None, or empty.
    """

    @property
    def depth(self) -> int:
        return len(getattr(self, OF_BLOCKS[0].name))

    @property
    def form(self) -> Any:
        """What the supernet computes otherwise, not only narrower or shallower: the patch."""
        return self.patch

    def block(self, index: int) -> BlockChoice:
        """What was chosen for one block."""
        values = {d.name: getattr(self, d.name) for d in OF_BLOCKS}
        return BlockChoice(**{name: v[index] if v else None for name, v in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; without dimensions that the space does not have."""
        return {
            k: v
            for k, v in dataclasses.asdict(self).items()
            if v is not None and (v or k not in LATER)
        }


def parse_subnet(data: object) -> SubnetConfig:
    """A `SubnetConfig` from the plain data of `SubnetConfig.to_dict`.

    Raises:
      SpaceError: an unknown or missing key.
    """
    fields = known("SubnetConfig", data, SubnetConfig)
    for d in STORED:
        if d.name in fields:
            fields[d.name] = d.read_value(f"SubnetConfig.{d.name}", fields[d.name])
            if d.per_block and not isinstance(fields[d.name], tuple):
                fail(f"SubnetConfig.{d.name}", fields[d.name], "a list, a value for each block")
    return made("SubnetConfig", SubnetConfig, fields)  # type: ignore[no-any-return]
