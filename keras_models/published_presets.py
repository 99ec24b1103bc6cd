# SPDX-License-Identifier: Apache-2.0
"""Published architectures, and small ones of their kind that are ours.

AutoFormer-T is the sub-network of its authors' configuration; MCUFormer's found networks were not
published, so that the largest of its space stands for them. S3-T is its authors' configuration
(4 stages, windows 7, 7, 14, 7); where a window is as large as the grid, all tokens see all.
"""

from __future__ import annotations

from typing import Any

from keras_models.arch import ArchConfig
from keras_models.staged import Architecture, StagedConfig
from keras_models.stages import AttentionStage

RELATIVE_POSITION = 14
_IMAGENET: dict[str, Any] = {
    "channels": 3,
    "num_classes": 1000,
    "patch_size": 16,
    "norm_epsilon": 1e-5,
}


def _s3(name: str, image_size: int, *stages: tuple[int, int, int], num_classes: int = 1000,
        ) -> StagedConfig:  # fmt: skip
    """Patches of 4, then stages of (width, depth, window), heads of 32 channels."""
    made = []
    for place, (width, depth, window) in enumerate(stages):
        made.append(
            AttentionStage.uniform(
                width=width,
                depth=depth,
                heads=width // 32,
                down="merge" if place else "patch",
                stride=2 if place else 4,
                norm=not place,
                window=window,
                shift=window > 0,
                bias=True,
            )
        )
    return StagedConfig(
        name=name,
        image_size=image_size,
        num_classes=num_classes,
        stages=tuple(made),
        norm_epsilon=1e-5,
    )


_ALL: tuple[Architecture, ...] = (
    ArchConfig(
        name="autoformer_t",
        image_size=224,
        embed_dim=192,
        heads=(3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3),
        mlp_ratio=(3.5, 3.5, 3.0, 3.5, 3.0, 3.0, 4.0, 4.0, 3.5, 4.0, 3.5, 4.0, 3.5),
        pool="patches",
        relative_position=RELATIVE_POSITION,
        **_IMAGENET,
    ),
    ArchConfig.uniform(
        name="mcuformer_t_max_relative",
        image_size=240,
        embed_dim=216,
        depth=14,
        heads=4,
        pool="patches",
        relative_position=RELATIVE_POSITION,
        **_IMAGENET,
    ),
    _s3("s3_t", 224, (96, 2, 7), (192, 2, 7), (384, 6, 0), (768, 2, 0)),
    # Ours: S3-T's stages at a third of its widths, and at 96 pixels, for a microcontroller.
    _s3("s3_tiny_224", 224, (32, 2, 7), (64, 2, 7), (128, 6, 0), (256, 2, 0)),
    _s3("s3_tiny_96", 96, (32, 2, 6), (64, 2, 6), (96, 4, 0), (128, 2, 0), num_classes=10),
    # For tests.
    ArchConfig.uniform(
        name="test_relative",
        image_size=16,
        num_classes=10,
        patch_size=4,
        embed_dim=16,
        depth=2,
        heads=2,
        head_dim=8,
        mlp_ratio=2.0,
        pool="patches",
        relative_position=2,
    ),
    StagedConfig(
        name="test_windows",
        image_size=16,
        num_classes=10,
        stages=(
            AttentionStage.uniform(
                width=16, depth=2, heads=2, head_dim=8, mlp_ratio=2.0, down="patch", stride=2,
                norm=True, window=4, shift=True, bias=True,
            ),
            AttentionStage.uniform(
                width=24, depth=1, heads=2, head_dim=8, mlp_ratio=2.0, down="merge", stride=2,
                bias=True,
            ),
        ),
    ),
)  # fmt: skip

PUBLISHED_PRESETS: dict[str, Architecture] = {arch.name: arch for arch in _ALL}
