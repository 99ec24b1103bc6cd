# SPDX-License-Identifier: Apache-2.0
"""Named spaces of several stages, as data.

`s3_t` is built around the published S3-T (28 M parameters; depths 2, 2, 6, 2, windows 7, 7, 14, 7,
widths 96 to 768, heads of 32, MLP ratio 4; Chen et al., NeurIPS 2021). S3's first and last spaces
are published in a figure only: which choices lie around that configuration, and how many, is ours.
Windows of 14 in its third stage are all of that stage's tokens, 0 here.

The hybrids are ours: residual or separable convolutions, then attention, for 1 MB of flash.
"""

from __future__ import annotations

from keras_models.parts import StemLayer
from nas.space.stage_space import StageSpace
from nas.space.staged_space import StagedSpace

_KINDS = ("residual", "separable")


def _stem(*layers: tuple[int, int]) -> tuple[StemLayer, ...]:
    """3x3 convolutions of (stride, channels) with ReLU and batch normalization."""
    return tuple(StemLayer(3, stride, channels, "relu", True) for stride, channels in layers)


def _s3_stage(
    place: int, width: tuple[int, ...], depth: tuple[int, ...], window: tuple[int, ...]
) -> StageSpace:
    """A third fewer and a third more heads than published, whose q-k-v width is the width."""
    middle = (3, 6, 12, 24)[place]
    return StageSpace(
        blocks=("attention",),
        width=width,
        depth=depth,
        heads=(middle * 2 // 3, middle, middle * 4 // 3),
        mlp_ratio=(3.0, 3.5, 4.0),
        window=window,
        down="merge" if place else "patch",
        stride=2 if place else 4,
        norm=not place,
        shift=any(window),
        bias=True,
    )


_ALL = (
    StagedSpace(
        name="s3_t",
        image_size=224,
        stages=(
            _s3_stage(0, (64, 80, 96, 112), (1, 2, 3), (7, 14)),
            _s3_stage(1, (160, 192, 224), (1, 2, 3), (7, 14)),
            _s3_stage(2, (320, 384, 448), (4, 5, 6, 7, 8), (0, 7)),
            _s3_stage(3, (640, 768, 896), (1, 2, 3), ()),
        ),
        norm_epsilon=1e-5,
    ),
    StagedSpace(
        name="hybrid_32",
        image_size=32,
        num_classes=10,
        stem=_stem((1, 32)),
        stages=(
            StageSpace(_KINDS, depth=(1, 2, 3), width=(32, 48, 64), stride=2),
            StageSpace(_KINDS, depth=(1, 2, 3), width=(64, 96, 128), stride=2),
            StageSpace(
                ("attention",),
                depth=(1, 2, 3, 4),
                heads=(2, 3, 4),
                mlp_ratio=(1.0, 2.0, 3.0),
                position=True,
            ),
        ),
    ),
    StagedSpace(
        name="hybrid_96",
        image_size=96,
        num_classes=10,
        stem=_stem((2, 16)),
        stages=(
            StageSpace(_KINDS, depth=(1, 2), width=(24, 32, 48), stride=2),
            StageSpace(_KINDS, depth=(1, 2, 3), width=(48, 64, 96), stride=2),
            StageSpace(
                ("attention",),
                depth=(1, 2, 3),
                heads=(2, 3),
                mlp_ratio=(1.0, 2.0, 3.0),
                position=True,
            ),
            StageSpace(
                ("attention",),
                depth=(1, 2, 3),
                width=(96, 128, 160),
                heads=(3, 4, 5),
                mlp_ratio=(1.0, 2.0, 3.0),
                down="merge",
                stride=2,
            ),
        ),
    ),
)

STAGED_SPACES: dict[str, StagedSpace] = {space.name: space for space in _ALL}
