# SPDX-License-Identifier: Apache-2.0
"""The dimensions of search spaces, each declared here and nowhere else.

Width, depth, heads and MLP ratio are AutoFormer's (Chen et al., ICCV 2021), rank ratio and patch
size MCUFormer's (Liang et al., NeurIPS 2023). The order decides what seeds stand for (`sample`):
new dimensions come last. docs/search.md, *A dimension more*, shows how to add one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras_models.arch import ArchConfig
from keras_models.parts import WEIGHT_BITS
from nas.space.checks import fail, known, made
from nas.space.dimension import Dimension, Mask, Scope
from nas.space.patch import Patch, parse_patch
from nas.space.ranks import RankRule
from nas.space.views import Network, Space

MAX_DEPTH = 256


class _PatchEmbedding(Dimension):
    """Patches are told apart by their place in the space: a trial's parameter is a number."""

    def validate(self, space: Any, where: str = "SearchSpace") -> None:
        patches = space.patches
        if not isinstance(patches, tuple) or not patches:
            fail(f"{where}.patches", patches, "a non-empty list of patches")
        if len(set(patches)) != len(patches):
            fail(f"{where}.patches", patches, "patches that differ")

    def read_choices(self, where: str, data: Any) -> Any:
        if not isinstance(data, list):
            return data
        return tuple(parse_patch(f"{where}[{i}]", each) for i, each in enumerate(data))

    def read_value(self, where: str, data: Any) -> Patch:
        return parse_patch(where, data)

    def shown(self, value: Patch) -> str:
        return value.describe()

    def arch(self, space: Space, config: Network) -> dict[str, Any]:
        patch = config.patch
        return {
            "patch_size": patch.size,
            "patch_padding": space.padding(patch),
            "stem": patch.stem,
        }

    def codes(self, space: Space) -> list[int]:
        return list(range(len(space.patches)))

    def encoded(self, space: Space, value: Patch) -> int:
        return space.patches.index(value)

    def decoded(self, space: Space, code: int) -> Patch:
        return space.patches[code]


class _RankRatio(Dimension):
    """Its choices are in a `RankRule`, which also says whether blocks have ratios of their own."""

    def choices(self, space: Any) -> tuple[float, ...]:
        return () if space.ranks is None else space.ranks.ratios

    def scope(self, space: Space) -> Scope:
        return Scope.NETWORK if space.ranks and not space.ranks.per_block else Scope.BLOCK

    def with_choices(self, space: Any, choices: Sequence[float]) -> Any:
        assert space.ranks is not None  # else it has no such dimension
        return space.replace(ranks=dataclasses.replace(space.ranks, ratios=tuple(choices)))

    def validate(self, space: Any, where: str = "SearchSpace") -> None:
        if space.ranks is not None:
            space.ranks.validate(f"{where}.ranks")

    def read_choices(self, where: str, data: Any) -> RankRule | None:
        return None if data is None else made(where, RankRule, known(where, data, RankRule))

    def refined(self, space: Space, config: Network, arch: ArchConfig) -> ArchConfig:
        if space.ranks is None or not config.rank_ratio:
            return arch
        ranks = tuple(
            space.ranks.deployed_ranks(arch, b, ratio) for b, ratio in enumerate(config.rank_ratio)
        )
        return arch if all(r.dense for r in ranks) else arch.replace(ranks=ranks)


class _Fact(Dimension):
    """What all networks share in most spaces (`FACTS`): its field is a value, or choices of it."""

    def choices(self, space: Any) -> tuple[Any, ...]:
        value = getattr(space, self.field)
        return value if isinstance(value, tuple) else ()

    def validate(self, space: Any, where: str = "SearchSpace") -> None:
        value = getattr(space, self.field)
        if isinstance(value, tuple):
            super().validate(space, where)

    def arch(self, space: Space, config: Network) -> dict[str, Any]:
        return super().arch(space, config) if self.choices(space) else {}


class WeightBitsDimension(Dimension):
    """Bits of a block's weights: 4 or 8."""

    def validate(self, space: Any, where: str = "SearchSpace") -> None:
        super().validate(space, where)
        choices = getattr(space, self.field)
        if set(choices) - set(WEIGHT_BITS):
            fail(f"{where}.{self.field}", choices, f"some of {', '.join(map(str, WEIGHT_BITS))}")


def _has_4_bits(space: Space, config: Network, arch: ArchConfig, block: int) -> int:
    return int(arch.block(block).weight_bits == 4)


def _rank(layer: str) -> Mask:
    """Mask of a layer's low rank; nothing where layers are dense."""

    def count(space: Space, config: Network, arch: ArchConfig, block: int) -> int:
        return int(getattr(space.block_ranks(config, block, arch), layer))

    return Mask(layer, count)


DIMENSIONS: tuple[Dimension, ...] = (
    _PatchEmbedding(name="patch", field="patches", text="patch {}", conflicts=True),
    Dimension(
        name="embed_dim",
        text="{} wide",
        high=8192,
        conflicts=True,
        arch_field="embed_dim",
        masks=(Mask("dim", lambda space, config, arch, block: arch.embed_dim, False),),
        seldom=True,
        limits=(8.0, 1024.0),
    ),
    Dimension(  # the blocks' number
        name="depth",
        text="{} deep",
        stored=False,
        high=MAX_DEPTH,
        masks=(Mask("gate", lambda space, config, arch, block: arch.depth, False),),
        seldom=True,
        limits=(1.0, 24.0),
    ),
    Dimension(
        name="heads",
        text="heads {}",
        per_block=True,
        high=256,
        arch_field="heads",
        masks=(Mask("heads", lambda space, config, arch, block: arch.heads[block]),),
        limits=(1.0, 16.0),
    ),
    Dimension(
        name="mlp_ratio",
        text="mlp {}",
        param="mlp",
        per_block=True,
        kinds=(float, int),
        low=1e-3,
        high=64,
        conflicts=True,
        arch_field="mlp_ratio",
        masks=(Mask("hidden", lambda space, config, arch, block: arch.hidden_dim(block)),),
        limits=(0.5, 6.0),
    ),
    _RankRatio(
        name="rank_ratio",
        text="rank {}",
        field="ranks",
        default=None,
        param="rank",
        per_block=True,
        masks=tuple(_rank(layer) for layer in ("qkv", "proj", "fc1", "fc2")),
        limits=(0.05, 1.0),
    ),
    _Fact(
        name="head_dim",
        text="heads of {}",
        default=None,
        high=1024,
        arch_field="head_dim",
        masks=(Mask("head_dim", lambda space, config, arch, block: arch.head_dim, False),),
        limits=(8.0, 128.0),
    ),
    WeightBitsDimension(
        name="weight_bits",
        text="weights of {} bits",
        default=(),
        param="bits",
        per_block=True,
        low=4,
        high=8,
        arch_field="weight_bits",
        masks=(Mask("four_bits", _has_4_bits),),
    ),
)
