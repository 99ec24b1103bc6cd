# SPDX-License-Identifier: Apache-2.0
"""Named architectures, as data.

`vit_t_240` is the benchmark network, `vit_micro_32` the CIFAR-10 network for a 1 MB / 320 KB
microcontroller, `vit_digits` the demonstration. The `test_*` presets are small networks that cover
what the converter and the runtimes must handle; tests of every part use them.
"""

from __future__ import annotations

from typing import Any

from keras_models.arch import ArchConfig, BlockRanks, StemLayer

_IMAGENET_240: dict[str, Any] = {
    "image_size": 240,
    "channels": 3,
    "num_classes": 1000,
    "patch_size": 16,
}
_TEST_16: dict[str, Any] = {
    "image_size": 16,
    "channels": 3,
    "num_classes": 10,
    "patch_size": 4,
    "embed_dim": 32,
    "head_dim": 16,
}

_ALL = (
    ArchConfig.uniform(name="vit_t_240", embed_dim=192, depth=12, heads=3, **_IMAGENET_240),
    ArchConfig.uniform(name="mcuformer_t_max", embed_dim=216, depth=14, heads=4, **_IMAGENET_240),
    ArchConfig.uniform(
        name="vit_s_240", embed_dim=384, depth=10, heads=6, mlp_ratio=3.0, **_IMAGENET_240
    ),
    # 8x8 tokens behind a convolutional stem: 0.79 M parameters leave room in 1 MB of flash for
    # biases, per-channel multipliers and code. Early convolutions are what a small ViT lacks on a
    # small data set (Xiao et al., NeurIPS 2021; Hassani et al., CCT, 2021).
    ArchConfig.uniform(
        name="vit_micro_32",
        image_size=32,
        channels=3,
        num_classes=10,
        stem=(
            StemLayer(kernel=3, stride=1, channels=32, activation="relu", batch_norm=True),
            StemLayer(kernel=3, stride=2, channels=64, activation="relu", batch_norm=True),
            StemLayer(kernel=3, stride=1, channels=96, activation="relu", batch_norm=True),
        ),
        patch_size=2,
        embed_dim=128,
        depth=5,
        heads=4,
        head_dim=32,
        mlp_ratio=2.0,
    ),
    ArchConfig.uniform(
        name="vit_digits",
        image_size=8,
        channels=1,
        num_classes=10,
        patch_size=2,
        embed_dim=48,
        depth=3,
        heads=3,
        head_dim=16,
        mlp_ratio=2.0,
    ),
    ArchConfig.uniform(name="test_tiny", depth=2, heads=2, mlp_ratio=2.0, **_TEST_16),
    ArchConfig.uniform(name="test_cls", depth=2, heads=2, mlp_ratio=2.0, pool="cls", **_TEST_16),
    ArchConfig.uniform(
        name="test_lowrank",
        depth=2,
        heads=2,
        mlp_ratio=2.0,
        ranks=BlockRanks(qkv=12, proj=8, fc1=12, fc2=16),
        **_TEST_16,
    ),
    ArchConfig.uniform(
        name="test_keras_norm", depth=2, heads=2, mlp_ratio=2.0, norm="keras", **_TEST_16
    ),
    ArchConfig.uniform(
        name="test_separate_qkv", depth=2, heads=2, mlp_ratio=2.0, attention="separate", **_TEST_16
    ),
    ArchConfig.uniform(
        name="test_keras_mha", depth=2, heads=2, mlp_ratio=2.0, attention="keras", **_TEST_16
    ),
    ArchConfig.uniform(
        name="test_gelu_tanh", depth=1, heads=2, mlp_ratio=2.0, activation="gelu_tanh", **_TEST_16
    ),
    ArchConfig.uniform(
        name="test_quick_gelu", depth=1, heads=2, mlp_ratio=2.0, activation="quick_gelu", **_TEST_16
    ),
    # Heads, MLP widths and ranks that differ between blocks, an inner width that is not the
    # token's, dense layers beside low-rank ones: what a search produces.
    ArchConfig(
        name="test_mixed",
        image_size=16,
        channels=3,
        num_classes=7,
        patch_size=4,
        embed_dim=24,
        head_dim=16,
        heads=(2, 1, 3),
        mlp_ratio=(2.0, 3.5, 1.5),
        ranks=(BlockRanks(), BlockRanks(qkv=8, fc1=10), BlockRanks(proj=12, fc2=9)),
    ),
    ArchConfig.uniform(
        name="test_stem",
        image_size=16,
        channels=3,
        num_classes=10,
        stem=(
            StemLayer(kernel=3, stride=1, channels=8, activation="relu", batch_norm=True),
            StemLayer(kernel=3, stride=2, channels=16, activation="gelu"),
        ),
        patch_size=2,
        embed_dim=32,
        depth=1,
        heads=2,
        head_dim=16,
        mlp_ratio=2.0,
    ),
    # MCUFormer's patch 28 and 32 at 240 pixels need padding; the same at a small size.
    ArchConfig.uniform(
        name="test_padding",
        image_size=16,
        channels=3,
        num_classes=10,
        patch_size=6,
        patch_padding=1,
        embed_dim=32,
        depth=1,
        heads=2,
        head_dim=16,
        mlp_ratio=2.0,
    ),
)

PRESETS: dict[str, ArchConfig] = {arch.name: arch for arch in _ALL}


def get_preset(name: str) -> ArchConfig:
    """The architecture of that name.

    Raises:
      ValueError: there is none; the message lists those there are.
    """
    if name not in PRESETS:
        raise ValueError(f"preset {name!r} does not exist, expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
