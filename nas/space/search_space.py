# SPDX-License-Identifier: Apache-2.0
"""Search spaces and the sub-networks in them, as frozen data.

A `SearchSpace` lists the choices of each dimension; a `SubnetConfig` is one choice of each. Depth,
width (embed_dim) and patch embedding hold for the whole network; heads and MLP ratio are chosen
per block, the rank ratio per block or for the network. The dimensions are AutoFormer's (Chen et
al., ICCV 2021) with MCUFormer's rank ratio and patch size (Liang et al., NeurIPS 2023).
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import numpy as np

from keras_models.arch import (
    ACTIVATIONS,
    POOLS,
    ArchConfig,
    ArchError,
    BlockRanks,
    StemLayer,
)
from tflm_vit.files import write_atomic

MAX_DEPTH = 256


class SpaceError(ValueError):
    """A field of a space or of a sub-network is wrong; the message names it, and what is right."""


def fail(field: str, got: object, expected: str) -> None:
    raise SpaceError(f"{field}: got {got!r}, expected {expected}")


@dataclasses.dataclass(frozen=True)
class Patch:
    """How an image becomes tokens: patches of `size` pixels behind the convolutions of `stem`."""

    size: int
    stem: tuple[StemLayer, ...] = ()

    def describe(self) -> str:
        """For example "16" or "2 behind a stem of 3 convolutions"."""
        if not self.stem:
            return str(self.size)
        return f"{self.size} behind a stem of {len(self.stem)} convolutions"


@dataclasses.dataclass(frozen=True)
class RankRule:
    """Low ranks of the linear layers.

    The rank of a layer is int(base * ratio), at least 1 and at most min(inputs, outputs). The base
    is min(inputs, outputs), except that `attention_base`, if not 0, takes its place for qkv and
    proj: MCUFormer computes those ranks from the supernet's width, so that they do not shrink with
    the sub-network.

    Attributes:
      ratios: choices, each above 0 and at most 1.
      per_block: each block has a ratio of its own; otherwise one holds for the network.
      attention_base: see above; 0 or 1..8192.
      dense_when_smaller: a pair that has no fewer weights than its product is deployed as the
        product. The function is the same; MCUFormer deploys the pair always.
    """

    ratios: tuple[float, ...]
    per_block: bool = True
    attention_base: int = 0
    dense_when_smaller: bool = True

    def validate(self, field: str) -> None:
        _check_choices(f"{field}.ratios", self.ratios, (int, float), 1e-3, 1.0)
        if not isinstance(self.attention_base, int) or not 0 <= self.attention_base <= 8192:
            fail(f"{field}.attention_base", self.attention_base, "an integer from 0 to 8192")
        for name in ("per_block", "dense_when_smaller"):
            if not isinstance(getattr(self, name), bool):
                fail(f"{field}.{name}", getattr(self, name), "true or false")

    def rank(self, inputs: int, outputs: int, ratio: float, attention: bool) -> int:
        """The rank of one layer, 1..min(inputs, outputs)."""
        full = min(inputs, outputs)
        base = self.attention_base if attention and self.attention_base else full
        # 1e-9: 0.7 * 10 is 6.999... in binary, and means 7.
        return max(1, min(full, int(base * ratio + 1e-9)))

    def deployed(self, inputs: int, outputs: int, rank: int) -> int:
        """The rank as deployed: 0 (dense) where that is smaller and the rule says so."""
        if self.dense_when_smaller and rank * (inputs + outputs) >= inputs * outputs:
            return 0
        return rank


def _check_choices(
    field: str, values: Any, kinds: tuple[type, ...], low: float, high: float
) -> None:
    if not isinstance(values, tuple) or not values:
        fail(field, values, "a non-empty list of choices")
    for value in values:
        if isinstance(value, bool) or type(value) not in kinds or not low <= float(value) <= high:
            fail(field, value, f"{kinds[0].__name__} choices from {low:g} to {high:g}")
    if list(values) != sorted(set(values)):
        fail(field, values, "choices in ascending order, none of them twice")


@dataclasses.dataclass(frozen=True)
class SubnetConfig:
    """One network of a space.

    Attributes:
      patch: patch embedding.
      embed_dim: width of a token.
      heads, mlp_ratio: per block; their length is the depth.
      rank_ratio: per block (all alike where the rule is for the network); empty without low ranks.
    """

    patch: Patch
    embed_dim: int
    heads: tuple[int, ...]
    mlp_ratio: tuple[float, ...]
    rank_ratio: tuple[float, ...] = ()

    @property
    def depth(self) -> int:
        return len(self.heads)

    def block(self, index: int) -> BlockChoice:
        """What was chosen for one block."""
        ratio = self.rank_ratio[index] if self.rank_ratio else None
        return BlockChoice(self.heads[index], self.mlp_ratio[index], ratio)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, order=True)
class BlockChoice:
    """One choice of a block's dimensions; `rank_ratio` None: dense layers."""

    heads: int
    mlp_ratio: float
    rank_ratio: float | None = None


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """Choices of each dimension.

    Attributes:
      name: of the space; its networks are called after it.
      image_size, channels, num_classes, head_dim, pool, activation: as in `ArchConfig`, the same
        for all networks of the space.
      patches: patch embeddings. A patch that does not divide its input gets the least zero padding
        that makes it (MCUFormer: 6 for patch 28 and 8 for patch 32 at 240 pixels).
      embed_dim, depth: choices for the network.
      heads, mlp_ratio: choices for each block.
      ranks: low ranks, None for dense layers only.
    """

    name: str
    image_size: int
    patches: tuple[Patch, ...]
    embed_dim: tuple[int, ...]
    depth: tuple[int, ...]
    heads: tuple[int, ...]
    mlp_ratio: tuple[float, ...]
    ranks: RankRule | None = None
    head_dim: int = 64
    channels: int = 3
    num_classes: int = 1000
    pool: str = "mean"
    activation: str = "gelu"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            fail("SearchSpace.name", self.name, "a non-empty string")
        _check_choices("SearchSpace.embed_dim", self.embed_dim, (int,), 1, 8192)
        _check_choices("SearchSpace.depth", self.depth, (int,), 1, MAX_DEPTH)
        _check_choices("SearchSpace.heads", self.heads, (int,), 1, 256)
        _check_choices("SearchSpace.mlp_ratio", self.mlp_ratio, (float, int), 1e-3, 64)
        if self.ranks is not None:
            self.ranks.validate("SearchSpace.ranks")
        for field, choices in (("pool", POOLS), ("activation", ACTIVATIONS)):
            if getattr(self, field) not in choices:
                fail(f"SearchSpace.{field}", getattr(self, field), f"one of {', '.join(choices)}")
        if not isinstance(self.patches, tuple) or not self.patches:
            fail("SearchSpace.patches", self.patches, "a non-empty list of patches")
        if len(set(self.patches)) != len(self.patches):
            fail("SearchSpace.patches", self.patches, "patches that differ")
        self._check_networks()

    def _check_networks(self) -> None:
        """Every patch with every width and MLP ratio must be an architecture."""
        for patch in self.patches:
            for dim in self.embed_dim:
                for ratio in self.mlp_ratio:
                    config = SubnetConfig(
                        patch,
                        dim,
                        self.heads[:1],
                        (ratio,),
                        self.ranks.ratios[:1] if self.ranks else (),
                    )
                    try:
                        self.arch(config)
                    except ArchError as error:
                        raise SpaceError(
                            f"SearchSpace {self.name}: patch {patch.describe()}, embed_dim {dim}, "
                            f"mlp_ratio {ratio}: {error}"
                        ) from error

    # ---- networks of the space -----------------------------------------------------------------

    def padding(self, patch: Patch) -> int:
        """Zeros on each side of what the patch embedding sees."""
        side = self.image_size
        for layer in patch.stem:
            side //= layer.stride
        missing = -side % patch.size
        if missing % 2:
            fail(f"SearchSpace {self.name}: patches", patch.size, f"an even padding of side {side}")
        return missing // 2

    def block_ranks(self, embed_dim: int, choice: BlockChoice) -> BlockRanks:
        """Ranks of the supernet's pairs (never 0) with these dimensions; all 0 without a rule."""
        if self.ranks is None or choice.rank_ratio is None:
            return BlockRanks()
        inner, hidden = choice.heads * self.head_dim, round(embed_dim * choice.mlp_ratio)
        rule, ratio = self.ranks, choice.rank_ratio
        return BlockRanks(
            qkv=rule.rank(embed_dim, 3 * inner, ratio, True),
            proj=rule.rank(inner, embed_dim, ratio, True),
            fc1=rule.rank(embed_dim, hidden, ratio, False),
            fc2=rule.rank(hidden, embed_dim, ratio, False),
        )

    def deployed_ranks(self, embed_dim: int, choice: BlockChoice) -> BlockRanks:
        """Ranks of the deployed network; 0 for a dense layer."""
        if self.ranks is None or choice.rank_ratio is None:
            return BlockRanks()
        ranks, rule = self.block_ranks(embed_dim, choice), self.ranks
        inner, hidden = choice.heads * self.head_dim, round(embed_dim * choice.mlp_ratio)
        return BlockRanks(
            qkv=rule.deployed(embed_dim, 3 * inner, ranks.qkv),
            proj=rule.deployed(inner, embed_dim, ranks.proj),
            fc1=rule.deployed(embed_dim, hidden, ranks.fc1),
            fc2=rule.deployed(hidden, embed_dim, ranks.fc2),
        )

    def arch(self, config: SubnetConfig) -> ArchConfig:
        """The architecture of a sub-network, as it is deployed."""
        ranks = tuple(
            self.deployed_ranks(config.embed_dim, config.block(b)) for b in range(config.depth)
        )
        return ArchConfig(
            name=self.name,
            image_size=self.image_size,
            channels=self.channels,
            num_classes=self.num_classes,
            patch_size=config.patch.size,
            patch_padding=self.padding(config.patch),
            stem=config.patch.stem,
            embed_dim=config.embed_dim,
            heads=config.heads,
            mlp_ratio=config.mlp_ratio,
            head_dim=self.head_dim,
            ranks=() if all(r.dense for r in ranks) else ranks,
            pool=self.pool,
            activation=self.activation,
        )

    def check(self, config: SubnetConfig) -> None:
        """Raises SpaceError unless the sub-network is one of this space."""
        for field, got, choices in (
            ("patch", (config.patch,), self.patches),
            ("embed_dim", (config.embed_dim,), self.embed_dim),
            ("depth", (config.depth,), self.depth),
            ("heads", config.heads, self.heads),
            ("mlp_ratio", config.mlp_ratio, self.mlp_ratio),
            ("rank_ratio", config.rank_ratio, self.ranks.ratios if self.ranks else ()),
        ):
            for value in got:
                if value not in choices:
                    fail(f"SubnetConfig.{field}", value, f"one of {choices} ({self.name})")
        expected = config.depth if self.ranks else 0
        if len(config.mlp_ratio) != config.depth or len(config.rank_ratio) != expected:
            fail(
                "SubnetConfig",
                (len(config.heads), len(config.mlp_ratio), len(config.rank_ratio)),
                f"heads and mlp_ratio per block and {expected} rank ratios",
            )
        if self.ranks and not self.ranks.per_block and len(set(config.rank_ratio)) > 1:
            fail("SubnetConfig.rank_ratio", config.rank_ratio, "one ratio for the network")

    @property
    def network_ratios(self) -> tuple[float | None, ...]:
        """Rank ratios that hold for the network; (None,) where blocks have their own, or none."""
        if self.ranks is None or self.ranks.per_block:
            return (None,)
        return self.ranks.ratios

    def block_choices(self, network_ratio: float | None = None) -> tuple[BlockChoice, ...]:
        """Everything one block can be.

        Args:
          network_ratio: of :attr:`network_ratios`.
        """
        ratios: tuple[float | None, ...] = (network_ratio,)
        if self.ranks is not None and self.ranks.per_block:
            ratios = self.ranks.ratios
        return tuple(
            BlockChoice(h, m, r) for h in self.heads for m in self.mlp_ratio for r in ratios
        )

    @property
    def size(self) -> int:
        """Exact number of sub-networks."""
        whole = len(self.patches) * len(self.embed_dim) * len(self.network_ratios)
        blocks = len(self.block_choices(self.network_ratios[0]))
        return int(whole * sum(blocks**depth for depth in self.depth))

    def from_blocks(
        self, patch: Patch, embed_dim: int, blocks: tuple[BlockChoice, ...]
    ) -> SubnetConfig:
        """A sub-network from its blocks' choices."""
        ratios = tuple(b.rank_ratio for b in blocks if b.rank_ratio is not None)
        return SubnetConfig(
            patch,
            embed_dim,
            tuple(b.heads for b in blocks),
            tuple(b.mlp_ratio for b in blocks),
            ratios,
        )

    def sample(self, rng: np.random.Generator) -> SubnetConfig:
        """Each dimension uniform among its choices, as AutoFormer samples (depth included)."""

        def pick(choices: tuple[Any, ...]) -> Any:
            return choices[int(rng.integers(len(choices)))]

        patch, dim, depth = pick(self.patches), pick(self.embed_dim), pick(self.depth)
        blocks = self.block_choices(pick(self.network_ratios))
        return self.from_blocks(patch, dim, tuple(pick(blocks) for _ in range(depth)))

    def _extreme(self, index: int) -> SubnetConfig:
        blocks = (self.block_choices(self.network_ratios[index])[index],) * self.depth[index]
        return self.from_blocks(self.patches[index], self.embed_dim[index], blocks)

    def smallest(self, patch: Patch | None = None) -> SubnetConfig:
        """The least of every dimension, with `patch` or the last one of the space."""
        config = self._extreme(0)
        return dataclasses.replace(config, patch=patch or self.patches[-1])

    def largest(self, patch: Patch | None = None) -> SubnetConfig:
        """The most of every dimension, with `patch` or the first one of the space."""
        config = self._extreme(-1)
        return dataclasses.replace(config, patch=patch or self.patches[0])

    def replace(self, **changes: Any) -> SearchSpace:
        """A copy with some attributes changed, validated."""
        return dataclasses.replace(self, **changes)

    # ---- JSON ----------------------------------------------------------------------------------

    def to_json(self) -> str:
        """JSON text with one key per attribute, in the order of the class."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> SearchSpace:
        """Parses what `to_json` wrote; keys left out take their defaults.

        Raises:
          SpaceError: not JSON, an unknown or missing key, or a wrong value.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise SpaceError(f"SearchSpace: not valid JSON: {error}") from error
        fields = {k: _tuples(v) for k, v in _known("SearchSpace", data, cls).items()}
        if isinstance(fields.get("patches"), tuple):
            fields["patches"] = tuple(
                parse_patch(f"SearchSpace.patches[{i}]", each)
                for i, each in enumerate(fields["patches"])
            )
        if fields.get("ranks") is not None:
            rule = _known("SearchSpace.ranks", fields["ranks"], RankRule)
            fields["ranks"] = _made("SearchSpace.ranks", RankRule, rule)
        return _made("SearchSpace", cls, fields)  # type: ignore[no-any-return]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON; the file appears whole or not at all."""
        write_atomic(path, self.to_json().encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SearchSpace:
        """Reads a JSON file; errors name it."""
        try:
            with open(path, encoding="utf-8") as file:
                return cls.from_json(file.read())
        except OSError as error:
            raise SpaceError(f"{os.fspath(path)}: cannot read: {error.strerror}") from error
        except (SpaceError, UnicodeDecodeError) as error:
            raise SpaceError(f"{os.fspath(path)}: {error}") from error


def parse_patch(where: str, data: object) -> Patch:
    """A `Patch` from plain data."""
    fields = _known(where, data, Patch)
    stem = tuple(
        _made(f"{where}.stem[{i}]", StemLayer, _known(f"{where}.stem[{i}]", each, StemLayer))
        for i, each in enumerate(fields.get("stem", ()))
    )
    return _made(where, Patch, {**fields, "stem": stem})  # type: ignore[no-any-return]


def parse_subnet(data: object) -> SubnetConfig:
    """A `SubnetConfig` from the plain data of `SubnetConfig.to_dict`.

    Raises:
      SpaceError: an unknown or missing key.
    """
    fields = {k: _tuples(v) for k, v in _known("SubnetConfig", data, SubnetConfig).items()}
    if "patch" in fields:
        fields["patch"] = parse_patch("SubnetConfig.patch", fields["patch"])
    return _made("SubnetConfig", SubnetConfig, fields)  # type: ignore[no-any-return]


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _known(where: str, data: object, kind: type) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise SpaceError(f"{where}: got {type(data).__name__}, expected a JSON object")
    known = [field.name for field in dataclasses.fields(kind)]
    for key in data:
        if key not in known:
            raise SpaceError(f"{where}.{key}: unknown field, expected one of {', '.join(known)}")
    return {k: _tuples(v) for k, v in data.items()}


def _made(where: str, kind: type, fields: dict[str, Any]) -> Any:
    try:
        return kind(**fields)
    except TypeError as error:
        raise SpaceError(f"{where}: {str(error).split('() ')[-1]}") from error
