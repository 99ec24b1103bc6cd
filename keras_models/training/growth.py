# SPDX-License-Identifier: Apache-2.0
"""Weights of a larger network that begins as a smaller trained one (Net2Net, Chen et al., 2016).

Layers are matched by what they are: a block by its stage and its place there. Along an axis of
outputs that grew, new entries copy the first old ones, kernels with noise, so that a LayerNorm's
statistics stay near and copies do not learn the same; along an axis of inputs new entries are zero,
so that what is new changes nothing yet. A fused qkv layer grows q, k and v each by itself, a merge
of patches each neighbour's channels. New blocks add nothing to their residual: their last layer is
zero. The function is exactly the smaller network's, but for the means and variances that
LayerNorms take over a wider stream.
"""

from __future__ import annotations

import dataclasses
import re
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.load import ModelNotFoundError, Network
from keras_models.resnet import ResNetConfig
from keras_models.staged import Architecture, StagedConfig
from keras_models.staged_model import DEPTHWISE
from keras_models.stages import AttentionStage, Stage
from keras_models.vit import NamedWeights as Weights

Floats = NDArray[np.float32]

NOISE = 0.25  # of copied kernels, over the root of their mean square

# What may be larger, of a network, of a layer of its stem, and of a stage.
_SIZES = frozenset(
    {"name", "num_classes", "embed_dim", "embedding_rank", "heads", "mlp_ratio", "ranks"}
)
_STEM_SIZES = frozenset({"channels"})
_STAGE_SIZES = frozenset({"width", "depth", "heads", "mlp_ratio", "ranks"})
_BLOCK = re.compile(r"(?:stage\d+_)?block\d+(?=_)")
# The last layer of each branch, which is zero where a block is new.
_LAST = tuple(
    f"{layer}/{weight}"
    for layer, weights in (
        ("_proj", ("kernel", "bias")),
        ("_proj_b", ("kernel", "bias")),
        ("_attention/attention_output", ("kernel", "bias")),
        ("_fc2", ("kernel", "bias")),
        ("_fc2_b", ("kernel", "bias")),
        ("_b_bn", ("gamma", "beta")),
    )
    for weight in weights
)


# ---- what may grow -------------------------------------------------------------------------------


def other_fields(small: Network, large: Network) -> list[str]:
    """Names of fields that must be the same and are not; sizes may differ, see `grown`."""
    if isinstance(small, ResNetConfig) or isinstance(large, ResNetConfig):
        a, b = dataclasses.asdict(small), dataclasses.asdict(large)
        return sorted(n for n in {*a, *b} - {"name", "num_classes"} if a.get(n) != b.get(n))
    a, b = _form(small), _form(large)
    return sorted(name for name in {*a, *b} if a.get(name) != b.get(name))


def _form(arch: Architecture) -> dict[str, Any]:
    """An architecture without its sizes."""
    tree = {name: value for name, value in arch.tree().items() if name not in _SIZES}
    for part, sizes in (("stem", _STEM_SIZES), ("stages", _STAGE_SIZES)):
        if part in tree:
            tree[part] = [{n: v for n, v in each.items() if n not in sizes} for each in tree[part]]
    return tree


# ---- blocks --------------------------------------------------------------------------------------


def _stage_blocks(stage: Stage, index: int, first: int) -> tuple[str, ...]:
    """Names of a stage's blocks; `first` is the number of its first among all blocks."""
    if isinstance(stage, AttentionStage):
        return tuple(f"block{first + b}" for b in range(stage.depth))
    return tuple(f"stage{index}_block{b}" for b in range(stage.depth))


def _blocks(arch: Architecture) -> tuple[tuple[str, ...], ...]:
    """Names of all blocks, stage by stage."""
    if not isinstance(arch, StagedConfig):
        return (tuple(f"block{b}" for b in range(arch.depth)),)
    firsts = np.cumsum([0, *(stage.depth for stage in arch.stages)])
    return tuple(_stage_blocks(s, i, int(firsts[i])) for i, s in enumerate(arch.stages))


def _counterparts(small: Architecture, large: Architecture) -> dict[str, str]:
    """Block of the larger network -> block of the smaller one; new blocks are missing."""
    found: dict[str, str] = {}
    for old, new in zip(_blocks(small), _blocks(large), strict=True):
        if len(old) > len(new):
            raise ModelNotFoundError(
                f"{small.name} has {len(old)} blocks where --network has {len(new)}, expected as "
                "many or more to start from it"
            )
        found |= dict(zip(new, old, strict=False))
    return found


def _expect_identity(arch: Architecture, block: str, names: Weights) -> None:
    """Refuses a new block that cannot begin by changing nothing."""
    if arch.norm_after or not any(block + last in names for last in _LAST):
        raise ModelNotFoundError(
            f"--initial: a new block ({block}) of {arch.name!r} has no residual behind which it "
            "could begin as nothing; give a network with as many blocks"
        )


# ---- weights -------------------------------------------------------------------------------------


def _input_axis(name: str, dimensions: int) -> int | None:
    """Axis that a kernel sums over, of channels; None where there is none."""
    if not name.endswith("/kernel") or name.endswith(f"{DEPTHWISE}/kernel"):
        return None
    return 0 if "_attention/" in name else dimensions - 2


def _parts(arch: Architecture, name: str, axis: int, inputs: int | None) -> int:
    """Equal parts side by side along an axis, each of which grows at its end."""
    layer = name.partition("/")[0]
    if layer.endswith(("_qkv", "_qkv_b")) and axis != inputs:
        return 3
    if isinstance(arch, StagedConfig):
        for i, stage in enumerate(arch.stages):
            merged = isinstance(stage, AttentionStage) and stage.down == "merge"
            of_input = layer == f"stage{i}_norm" or (layer == f"stage{i}_down" and axis == inputs)
            if merged and of_input:
                return int(stage.stride) ** 2
    return 1


@dataclasses.dataclass(frozen=True, eq=False)
class _Axis:
    """How an axis grows: entries of the old one, and which of the new one are copies."""

    sources: NDArray[np.intp]
    new: NDArray[np.bool_]

    @classmethod
    def between(cls, name: str, old: int, new: int, parts: int) -> _Axis:
        if new < old:
            raise ModelNotFoundError(
                f"--initial: {name} has {old} entries, {new} in --network; expected a network that "
                "is smaller in no part"
            )
        length, longer = old // parts, new // parts
        within = np.arange(longer)
        sources = np.concatenate([part * length + within % length for part in range(parts)])
        return cls(sources, np.tile(within >= length, parts))


def _grown(name: str, old: Floats, shape: tuple[int, ...], arch: Architecture, seed: int) -> Floats:
    """One weight in its larger shape."""
    if old.ndim != len(shape):
        raise ModelNotFoundError(f"--initial: {name} is {old.shape}, {shape} in --network")
    value, inputs = old, _input_axis(name, old.ndim)
    zero, copied = np.zeros(shape, bool), np.zeros(shape, bool)
    for axis, length in enumerate(shape):
        parts = _parts(arch, name, axis, inputs)
        grows = _Axis.between(name, old.shape[axis], length, parts)
        value = np.take(value, grows.sources, axis)
        along = grows.new.reshape([-1 if a == axis else 1 for a in range(old.ndim)])
        (zero if axis == inputs else copied)[:] |= along
    if name.endswith("/kernel"):
        rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
        size = NOISE * np.sqrt(np.mean(np.square(old)))
        value = value + copied * size * rng.standard_normal(shape)
    return np.where(zero, 0.0, value).astype(np.float32)


def grown(
    small: Architecture, old: Weights, large: Architecture, fresh: Weights, seed: int
) -> Weights:
    """Weights of the larger network that compute what the smaller one does.

    Args:
      small, old: the trained network, its weights by layer/weight.
      large, fresh: the network to be trained, of no other fields (`other_fields`), and its random
        weights, which new blocks keep but for their last layers.
      seed: of the noise.

    Raises:
      ModelNotFoundError: a part is smaller than the trained network's, or has no counterpart.
    """
    blocks = _counterparts(small, large)
    values: Weights = {}
    used = set()
    for name, random in fresh.items():
        match = _BLOCK.match(name)
        block = match.group() if match else ""
        if block and block not in blocks:
            _expect_identity(large, block, fresh)
            last = name.endswith(_LAST)
            values[name] = np.zeros_like(random) if last else random
            continue
        source = blocks[block] + name[len(block) :] if block else name
        if source not in old:
            raise ModelNotFoundError(
                f"--initial: {small.name} has no {source}, which --network has; expected a network "
                "of the same layers"
            )
        values[name] = _grown(name, old[source], random.shape, large, seed)
        used.add(source)
    unused = sorted(set(old) - used)
    if unused:
        raise ModelNotFoundError(
            f"--initial: {small.name} has {unused[0]}, which --network has not; expected a network "
            "of the same layers"
        )
    return values
