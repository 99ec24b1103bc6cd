# SPDX-License-Identifier: Apache-2.0
"""Named search spaces, as data.

`mcuformer_t`, `_s` and `_b` are MCUFormer's (Liang et al., NeurIPS 2023; released configuration
files): 240 x 240 pixels, heads of 64. The supernet is wider than the widest choice, and its width
is the base of the attention ranks. `mcuformer_t_relative` and so on have what those networks have
besides: a class token that the mean leaves out, and relative keys and values. `mcu_32` and `mcu_96`
are for 1 MB of flash.
"""

from __future__ import annotations

import os

from keras_models.arch import StemLayer
from nas.space import Patch, RankRule, SearchSpace, SpaceError
from nas.space.any_space import Searchable, load_space
from nas.space.staged_presets import STAGED_SPACES
from nas.space.task_presets import TASK_SPACES

_RATIOS = (0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95)
_PATCHES = tuple(Patch(size) for size in (16, 20, 24, 28, 32))


def _published(width: int) -> RankRule:
    return RankRule(_RATIOS, per_block=False, attention_base=width, dense_when_smaller=False)


def _stem(*layers: tuple[int, int]) -> tuple[StemLayer, ...]:
    """3x3 convolutions of (stride, channels) with ReLU and batch normalization."""
    return tuple(StemLayer(3, stride, channels, "relu", True) for stride, channels in layers)


_STEM_32 = _stem((1, 24), (2, 48))
_STEM_96 = _stem((2, 16), (2, 32))
_MCU_RANKS = RankRule((0.25, 0.375, 0.5, 1.0))

_MCUFORMER = (
    SearchSpace(
        name="mcuformer_t",
        image_size=240,
        patches=_PATCHES,
        embed_dim=(168, 192, 216),
        depth=(12, 13, 14),
        heads=(3, 4),
        mlp_ratio=(3.5, 4.0),
        ranks=_published(256),
    ),
    SearchSpace(
        name="mcuformer_s",
        image_size=240,
        patches=_PATCHES,
        embed_dim=(320, 384, 448),
        depth=(12, 13, 14),
        heads=(5, 6, 7),
        mlp_ratio=(3.0, 3.5, 4.0),
        ranks=_published(448),
    ),
    SearchSpace(
        name="mcuformer_b",
        image_size=240,
        patches=_PATCHES,
        embed_dim=(528, 576, 624),
        depth=(14, 15, 16),
        heads=(9, 10),
        mlp_ratio=(3.0, 3.5, 4.0),
        ranks=_published(640),
    ),
)
_RELATIVE = tuple(
    space.replace(name=f"{space.name}_relative", pool="patches", relative_position=14)
    for space in _MCUFORMER
)

_ALL = (
    *_MCUFORMER,
    SearchSpace(
        name="mcu_32",
        image_size=32,
        num_classes=10,
        patches=(Patch(2, _STEM_32), Patch(4, _STEM_32), Patch(4)),
        embed_dim=(64, 96, 128, 160),
        depth=(3, 4, 5, 6),
        heads=(2, 3, 4),
        mlp_ratio=(1.0, 2.0, 3.0),
        ranks=_MCU_RANKS,
        head_dim=32,
    ),
    SearchSpace(
        name="mcu_96",
        image_size=96,
        num_classes=10,
        patches=(Patch(8), Patch(12), Patch(16), Patch(2, _STEM_96), Patch(4, _STEM_96)),
        embed_dim=(64, 96, 128, 160, 192),
        depth=(3, 4, 5, 6, 7, 8),
        heads=(2, 3, 4, 6),
        mlp_ratio=(1.0, 2.0, 3.0),
        ranks=_MCU_RANKS,
        head_dim=32,
    ),
    # scikit-learn's 8x8 digits: a whole search in minutes.
    SearchSpace(
        name="digits_8",
        image_size=8,
        channels=1,
        num_classes=10,
        patches=(Patch(2), Patch(4)),
        embed_dim=(16, 24, 32, 48),
        depth=(1, 2, 3),
        heads=(1, 2, 3),
        mlp_ratio=(1.0, 2.0),
        ranks=RankRule((0.5, 1.0)),
        head_dim=16,
    ),
)

SPACES: dict[str, SearchSpace] = {space.name: space for space in _ALL}
RELATIVE_SPACES: dict[str, SearchSpace] = {space.name: space for space in _RELATIVE}
ALL_SPACES: dict[str, Searchable] = {
    **SPACES,
    **RELATIVE_SPACES,
    **STAGED_SPACES,
    **TASK_SPACES,
}


def get_space(name_or_path: str) -> Searchable:
    """A space by name, or from a JSON file.

    Raises:
      SpaceError: neither; the message lists the names.
    """
    if name_or_path in ALL_SPACES:
        return ALL_SPACES[name_or_path]
    if os.path.isfile(name_or_path):
        return load_space(name_or_path)
    raise SpaceError(f"space {name_or_path!r}: neither a file nor one of {', '.join(ALL_SPACES)}")
