# SPDX-License-Identifier: Apache-2.0
"""Named architectures of several stages, as data."""

from __future__ import annotations

from typing import Any

from keras_models.parts import StemLayer
from keras_models.staged import StagedConfig
from keras_models.stages import AttentionStage, ConvStage

# A convolution over the whole picture.
_PHOTOGRAPHS: dict[str, Any] = {
    "image_size": 32,
    "channels": 3,
    "num_classes": 10,
    "stem": (StemLayer(kernel=3, stride=1, channels=32, activation="relu", batch_norm=True),),
}

_ALL = (
    # Residual convolutions down to 8x8 tokens, then attention: what a small network for a small
    # data set needs of both (Xiao et al., NeurIPS 2021). For 512,024 bytes of flash (the larger
    # residual network of MLPerf Tiny), 64 KB of SRAM and 60 M instructions on a Cortex-M7.
    StagedConfig(
        name="hybrid_32",
        stages=(
            ConvStage("residual", width=48, depth=2, stride=2),
            ConvStage("residual", width=96, stride=2),
            AttentionStage.uniform(width=96, depth=3, heads=3, mlp_ratio=2.0, position=True),
        ),
        **_PHOTOGRAPHS,
    ),
    # The same with the flash that weights of 4 bits leave: 1.7 times the parameters.
    StagedConfig(
        name="hybrid_32_wide",
        stages=(
            ConvStage("residual", width=48, depth=2, stride=2),
            ConvStage("residual", width=120, stride=2),
            AttentionStage.uniform(width=120, depth=4, heads=4, mlp_ratio=2.0, position=True),
        ),
        **_PHOTOGRAPHS,
    ),
    # Every kind of block and way down, for tests.
    StagedConfig(
        name="test_stages",
        image_size=16,
        channels=3,
        num_classes=7,
        stem=(StemLayer(kernel=3, stride=1, channels=8, activation="relu", batch_norm=True),),
        stages=(
            ConvStage("residual", width=12, depth=2, stride=2),
            ConvStage("separable", width=16),
            AttentionStage.uniform(width=16, depth=1, heads=2, head_dim=8, position=True),
            AttentionStage.uniform(
                width=24, depth=1, heads=1, head_dim=16, mlp_ratio=2.0, down="merge", stride=2
            ),
            AttentionStage.uniform(
                width=32, depth=1, heads=2, head_dim=8, mlp_ratio=1.5, down="conv", stride=2
            ),
        ),
    ),
)

STAGED_PRESETS: dict[str, StagedConfig] = {arch.name: arch for arch in _ALL}
