# SPDX-License-Identifier: Apache-2.0
"""Search spaces, as frozen data: the choices of each dimension, and what all networks share."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_models.arch import ACTIVATIONS, POOLS, ArchConfig, ArchError, BlockRanks
from keras_models.parts import PATCHES
from nas.space.checks import SpaceError, fail, known, load_json, made
from nas.space.dimension import REQUIRED, Dimension, Scope
from nas.space.dimensions import DIMENSIONS
from nas.space.patch import Patch
from nas.space.subnet import LATER, OF_BLOCKS, STORED, BlockChoice, NetworkChoice, SubnetConfig
from tflm_vit.files import parse_json, write_atomic

# As in `ArchConfig`; the same for all networks of a space, unless a dimension makes it a choice.
FACTS = (
    ("head_dim", int, 64),
    ("channels", int, 3),
    ("num_classes", int, 1000),
    ("pool", str, "mean"),
    ("activation", str, "gelu"),
    ("relative_position", int | None, None),
)


def _fields() -> list[Any]:
    facts = {name for name, _, _ in FACTS}
    choices = [d for d in DIMENSIONS if d.field not in facts]
    required = [(d.field, Any) for d in choices if d.default is REQUIRED]
    optional = [(d.field, Any, d.default) for d in choices if d.default is not REQUIRED]
    return [("name", str), ("image_size", int), *required, *optional, *FACTS]


_Space: Any = dataclasses.make_dataclass(
    "_Space", _fields(), frozen=True, namespace={"__post_init__": lambda self: None}
)


class SearchSpace(_Space):
    """Choices of each dimension.

    Fields: `name` of the space, after which its networks are called; `image_size`; a field for each
    of `DIMENSIONS`, a tuple of choices in ascending order (`patches`, `embed_dim`, `depth`,
    `heads`, `mlp_ratio`), for low ranks a `RankRule` (`ranks`, None for dense layers only); and
    `FACTS`. A patch that does not divide its input gets the least zero padding that makes it
    (MCUFormer: 6 for patch 28 and 8 for patch 32 at 240 pixels).
    """

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            fail("SearchSpace.name", self.name, "a non-empty string")
        pools = (*POOLS, PATCHES)
        for field, choices in (("pool", pools), ("activation", ACTIVATIONS)):
            if getattr(self, field) not in choices:
                fail(f"SearchSpace.{field}", getattr(self, field), f"one of {', '.join(choices)}")
        for dimension in DIMENSIONS:
            dimension.validate(self)
        self._check_networks()

    def _check_networks(self) -> None:
        """Values that can conflict must be an architecture in every combination."""
        for values in self._combinations(lambda d: d.choices(self)[: None if d.conflicts else 1]):
            try:
                self.arch(self.uniform(1, values))
            except ArchError as error:
                given = ", ".join(
                    f"{d.name} {d.shown(values[d.name])}" for d in self.dimensions if d.conflicts
                )
                raise SpaceError(f"SearchSpace {self.name}: {given}: {error}") from error

    # ---- dimensions of the space ---------------------------------------------------------------

    @functools.cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Those that it has."""
        return tuple(d for d in DIMENSIONS if d.choices(self))

    @functools.cached_property
    def network_dimensions(self) -> tuple[Dimension, ...]:
        """Those that the network chooses once, depth included."""
        return tuple(d for d in self.dimensions if d.scope(self) is Scope.NETWORK)

    @functools.cached_property
    def block_dimensions(self) -> tuple[Dimension, ...]:
        """Those that each block chooses."""
        return tuple(d for d in self.dimensions if d.scope(self) is Scope.BLOCK)

    def __getstate__(self) -> dict[str, Any]:
        return {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self)
        }  # none of the above

    def _combinations(self, choices: Any) -> Iterator[dict[str, Any]]:
        """Values by dimension, of `choices(dimension)`, in every combination; without depth."""
        chosen = [d for d in self.dimensions if d.stored]
        for values in itertools.product(*map(choices, chosen)):
            yield {d.name: value for d, value in zip(chosen, values, strict=True)}

    # ---- networks of the space -----------------------------------------------------------------

    def padding(self, patch: Patch) -> int:
        """Zeros on each side of what the patch embedding sees."""
        side = patch.input_side(self.image_size)
        missing = -side % patch.size
        if missing % 2:
            fail(f"SearchSpace {self.name}: patches", patch.size, f"an even padding of side {side}")
        return missing // 2

    def dense_arch(self, config: SubnetConfig) -> ArchConfig:
        """The architecture of a sub-network with the products of its low-rank pairs."""
        facts = {name: getattr(self, name) for name, _, _ in FACTS}
        fields: dict[str, Any] = {name: v for name, v in facts.items() if v is not None}
        for dimension in DIMENSIONS:
            fields |= dimension.arch(self, config)
        return ArchConfig(name=self.name, image_size=self.image_size, **fields)

    def arch(self, config: SubnetConfig) -> ArchConfig:
        """The architecture of a sub-network, as it is deployed."""
        arch = self.dense_arch(config)
        for dimension in DIMENSIONS:
            arch = dimension.refined(self, config, arch)
        return arch

    def block_ranks(
        self, config: SubnetConfig, block: int, arch: ArchConfig | None = None
    ) -> BlockRanks:
        """Ranks of the supernet's pairs (never 0) in a block; all 0 without a rule.

        Args:
          arch: of the sub-network, if it is known already; its ranks do not matter.
        """
        if self.ranks is None or not config.rank_ratio:
            return BlockRanks()
        arch = arch or self.dense_arch(config)
        return self.ranks.block_ranks(  # type: ignore[no-any-return]
            arch, block, config.rank_ratio[block]
        )

    def allowed(self, field: str) -> tuple[Any, ...]:
        """What networks of the space may have in a field: one value, or its choices."""
        value = getattr(self, field)
        return value if isinstance(value, tuple) else (value,)

    def check(self, config: SubnetConfig) -> None:
        """Raises SpaceError unless the sub-network is one of this space."""
        for d in DIMENSIONS:
            choices, got = d.choices(self), getattr(config, d.name)
            values = got if d.per_block else () if got == d.absent and not choices else (got,)
            for value in values:
                if value not in choices:
                    fail(f"SubnetConfig.{d.name}", value, f"one of {choices} ({self.name})")
            expected = config.depth if choices else 0
            if d.per_block and len(values) != expected:
                fail(f"SubnetConfig.{d.name}", values, f"{expected} values, one per block")
            if d in self.network_dimensions and len(set(values)) > 1:
                fail(
                    f"SubnetConfig.{d.name}",
                    values,
                    f"one {d.name.replace('_', ' ')} for the network",
                )

    def networks(self) -> Iterator[NetworkChoice]:
        """Every choice of what holds for a whole network, but depth; in a fixed order."""
        chosen = [d for d in self.network_dimensions if d.stored]
        for values in itertools.product(*(d.choices(self) for d in chosen)):
            yield NetworkChoice(**{d.name: v for d, v in zip(chosen, values, strict=True)})

    def network_of(self, config: SubnetConfig) -> NetworkChoice:
        """What a sub-network chose once."""
        chosen = [d for d in self.network_dimensions if d.stored]
        return NetworkChoice(**{d.name: d.value(config) for d in chosen})

    def block(self, network: NetworkChoice, values: dict[str, Any]) -> BlockChoice:
        """A block of a network, from the values that it chooses itself."""
        shared = {d.name: getattr(network, d.name) for d in OF_BLOCKS}
        return BlockChoice(**{**shared, **values})

    def block_choices(self, network: NetworkChoice) -> tuple[BlockChoice, ...]:
        """Everything that one block of a network can be."""
        chosen = self.block_dimensions
        return tuple(
            self.block(network, {d.name: v for d, v in zip(chosen, values, strict=True)})
            for values in itertools.product(*(d.choices(self) for d in chosen))
        )

    def join(self, network: NetworkChoice, blocks: tuple[BlockChoice, ...]) -> SubnetConfig:
        """A sub-network from what it chooses once, and its blocks."""
        fields: dict[str, Any] = {}
        for d in STORED:
            if d.per_block:
                values = tuple(getattr(block, d.name) for block in blocks)
                fields[d.name] = () if None in values else values
            else:
                fields[d.name] = getattr(network, d.name)
        return SubnetConfig(**fields)

    def uniform(self, depth: int, values: dict[str, Any]) -> SubnetConfig:
        """A sub-network whose blocks are all alike, from a value of each dimension but depth."""
        by_block = {d.name for d in OF_BLOCKS}
        return SubnetConfig(
            **{name: (v,) * depth if name in by_block else v for name, v in values.items()}
        )

    @property
    def size(self) -> int:
        """Exact number of sub-networks."""
        whole = math.prod(len(d.choices(self)) for d in self.network_dimensions if d.stored)
        blocks = math.prod(len(d.choices(self)) for d in self.block_dimensions)
        return int(whole * sum(blocks**depth for depth in self.depth))

    def sample(self, rng: np.random.Generator) -> SubnetConfig:
        """Each dimension uniform among its choices, as AutoFormer samples (depth included)."""

        drawn = {}
        for d in self.network_dimensions:
            choices = d.choices(self)
            drawn[d.name] = choices[int(rng.integers(len(choices)))]
        depth = drawn.pop("depth")
        network = NetworkChoice(**drawn)
        return self.join(network, tuple(self.random_block(network, rng) for _ in range(depth)))

    def random_block(self, network: NetworkChoice, rng: np.random.Generator) -> BlockChoice:
        """One of `block_choices`, from one random number."""
        chosen = [(d.name, d.choices(self)) for d in self.block_dimensions]
        place = int(rng.integers(math.prod(len(choices) for _, choices in chosen)))
        values = {}
        for name, choices in reversed(chosen):
            place, index = divmod(place, len(choices))
            values[name] = choices[index]
        return self.block(network, values)

    def _extreme(self, index: int) -> SubnetConfig:
        values = {d.name: d.choices(self)[index] for d in self.dimensions if d.stored}
        return self.uniform(self.depth[index], values)

    def smallest(self, patch: Patch | None = None) -> SubnetConfig:
        """The least of every dimension, with `patch` or the last one of the space."""
        return dataclasses.replace(self._extreme(0), patch=patch or self.patches[-1])

    def largest(self, patch: Patch | None = None) -> SubnetConfig:
        """The most of every dimension, with `patch` or the first one of the space."""
        return dataclasses.replace(self._extreme(-1), patch=patch or self.patches[0])

    def forms(self) -> tuple[Patch, ...]:
        """What the supernet computes otherwise, not only narrower or shallower: patches."""
        return self.patches  # type: ignore[no-any-return]

    def of_form(self, form: Patch) -> SearchSpace:
        """The part of the space with that patch."""
        return self.replace(patches=(form,))

    # ---- parameters of a trial -----------------------------------------------------------------

    def parameters(self) -> dict[str, list[Any]]:
        """Choices by name; those of blocks, up to the greatest depth, have the block's number."""
        found = {d.param: d.codes(self) for d in self.network_dimensions}
        for b in range(max(self.depth)):
            for d in self.block_dimensions:
                found[f"{d.param}{b}"] = d.codes(self)
        return found

    def from_parameters(self, params: dict[str, Any]) -> SubnetConfig:
        """The sub-network of a trial's parameters."""
        values = {d.name: d.decoded(self, params[d.param]) for d in self.network_dimensions}
        depth = values.pop("depth")
        network = NetworkChoice(**values)
        blocks = tuple(
            self.block(
                network,
                {d.name: d.decoded(self, params[f"{d.param}{b}"]) for d in self.block_dimensions},
            )
            for b in range(depth)
        )
        return self.join(network, blocks)

    def to_parameters(self, config: SubnetConfig) -> dict[str, Any]:
        """The parameters of a sub-network; blocks beyond its depth repeat the last one."""
        params = {d.param: d.encoded(self, d.value(config)) for d in self.network_dimensions}
        for b in range(max(self.depth)):
            block = config.block(min(b, config.depth - 1))
            for d in self.block_dimensions:
                params[f"{d.param}{b}"] = d.encoded(self, getattr(block, d.name))
        return params

    def replace(self, **changes: Any) -> SearchSpace:
        """A copy with some attributes changed, validated."""
        return dataclasses.replace(self, **changes)

    # ---- JSON ----------------------------------------------------------------------------------

    def to_json(self) -> str:
        """JSON text with one key per attribute, in the order of the class."""
        tree = dataclasses.asdict(self)
        for name in ("relative_position", *LATER):  # later than files that must stay what they are
            if not tree[name]:
                del tree[name]
        return json.dumps(tree, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> SearchSpace:
        """Parses what `to_json` wrote; keys left out take their defaults.

        Raises:
          SpaceError: not JSON, an unknown or missing key, or a wrong value.
        """
        try:
            data = parse_json(text)
        except ValueError as error:
            raise SpaceError(f"SearchSpace: {error}") from error
        fields = known("SearchSpace", data, cls)
        for d in DIMENSIONS:
            if d.field in data:
                fields[d.field] = d.read_choices(f"SearchSpace.{d.field}", data[d.field])
        return made("SearchSpace", cls, fields)  # type: ignore[no-any-return]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON; the file appears whole or not at all."""
        write_atomic(path, self.to_json().encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SearchSpace:
        """Reads a JSON file; errors name it."""
        return load_json(path, cls.from_json)
