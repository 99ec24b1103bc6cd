# SPDX-License-Identifier: Apache-2.0
"""Named architectures of tasks beyond classification, and convolutional ones of equal size."""

from __future__ import annotations

from typing import Any

from keras_models.arch import ArchConfig
from keras_models.canvases.composition import GARMENTS
from keras_models.datasets.texts import (
    LANGUAGE_BYTES,
    LANGUAGE_PIECES,
    TOPIC_BYTES,
    TOPIC_PIECES,
)
from keras_models.parts import StemLayer
from keras_models.questions.asking import ANSWERS, CODE_BYTES
from keras_models.questions.shapes import SIDE as SHAPES_SIDE
from keras_models.scenes.world import CLASSES, KINDS
from keras_models.speech.words import CLASSES as WORDS
from keras_models.staged import Architecture, StagedConfig
from keras_models.stages import AttentionStage, ConvStage
from keras_models.tasks.box_rows import EDGES
from keras_models.text.definitions import TOPICS
from keras_models.text.manpages import LANGUAGES
from keras_models.text.subwords import TOKEN_BYTES

# 24x24 pixels behind one wide convolution: a second of its size, or one of stride 2, would hold
# more than 50 KB together with the picture. 12x12 tokens.
_SCENES: dict[str, Any] = {
    "image_size": 96,
    "stem": (StemLayer(kernel=7, stride=4, channels=24, activation="relu", batch_norm=True),),
}
_ENCODER: dict[str, Any] = {
    **_SCENES,
    "patch_size": 2,
    "embed_dim": 96,
    "depth": 4,
    "heads": 3,
    "head_dim": 24,
    "mlp_ratio": 2.0,
}
# As many parameters, nearly: two stages at the same resolutions.
_CONVOLUTIONS: dict[str, Any] = {
    **_SCENES,
    "stages": (
        ConvStage("residual", width=32),
        ConvStage("residual", width=64, depth=3, stride=2),
    ),
}
# What a token makes of its 8x8 pixels: every depth, or classes of every second pixel, since seven
# values for each pixel would be 64 KB.
_DEPTH: dict[str, Any] = {"num_classes": 1, "dense": 8}
_SEGMENTATION: dict[str, Any] = {"num_classes": len(CLASSES), "dense": 4}
_DETECTION: dict[str, Any] = {"num_classes": len(EDGES) + len(GARMENTS), "dense": 1}
_SCENE_DETECTION: dict[str, Any] = {"num_classes": len(EDGES) + len(KINDS), "dense": 1}

_SPECTROGRAMS: dict[str, Any] = {"image_size": 40, "channels": 1, "num_classes": len(WORDS)}
_SPEECH: dict[str, Any] = {
    **_SPECTROGRAMS,
    "embed_dim": 64,
    "head_dim": 32,
    "mlp_ratio": 2.0,
}

_CONVOLVED_SPEECH: dict[str, Any] = {
    **_SPECTROGRAMS,
    "stem": (StemLayer(kernel=3, stride=2, channels=16, activation="relu", batch_norm=True),),
}

# 24x24 pixels, then 12x12, then 6x6 tokens of eight pixels of the picture.
_SHAPES: dict[str, Any] = {
    "image_size": SHAPES_SIDE,
    "num_classes": len(ANSWERS),
    "question": CODE_BYTES,
    "stem": tuple(
        StemLayer(kernel=3, stride=2, channels=channels, activation="relu", batch_norm=True)
        for channels in (12, 24)
    ),
}

# A token a byte, of a low-rank pair of 256 x rank and rank x width. Or a sub-word, 16 of 4,096 or
# 36 of 8,192; of the less frequent ones a pair of low rank.
_BYTES: dict[str, Any] = {"channels": 1, "vocabulary": 256}
_LANGUAGE: dict[str, Any] = {"num_classes": len(LANGUAGES), "embed_dim": 32}
_TOPIC: dict[str, Any] = {"num_classes": len(TOPICS)}
_LANGUAGE_36: dict[str, Any] = {
    **_LANGUAGE,
    **_BYTES,
    "image_size": LANGUAGE_BYTES.side,
    "embedding_rank": 16,
}
_TOPIC_144: dict[str, Any] = {
    **_TOPIC,
    **_BYTES,
    "image_size": TOPIC_BYTES.side,
    "embed_dim": 64,
    "embedding_rank": 24,
}
_LANGUAGE_PIECES_16: dict[str, Any] = {
    **_LANGUAGE,
    "image_size": LANGUAGE_PIECES.side,
    "channels": TOKEN_BYTES,
    "vocabulary": LANGUAGE_PIECES.vocabulary,
    "rare_from": 1024,
    "rare_rank": 16,
}
_TOPIC_PIECES_36: dict[str, Any] = {
    **_TOPIC,
    "image_size": TOPIC_PIECES.side,
    "channels": TOKEN_BYTES,
    "vocabulary": TOPIC_PIECES.vocabulary,
    "embed_dim": 96,
    "rare_from": 2048,
    "rare_rank": 32,
}
# Two blocks on bytes, one on sub-words; or as many parameters, nearly, in convolutions.
_TEXT: dict[str, Any] = {"patch_size": 1, "mlp_ratio": 2.0}

_ALL: tuple[Architecture, ...] = (
    ArchConfig.uniform(name="depth_96", **_ENCODER, **_DEPTH),
    ArchConfig.uniform(name="segmentation_96", **_ENCODER, **_SEGMENTATION),
    ArchConfig.uniform(name="detection_96", **_ENCODER, **_DETECTION),
    ArchConfig.uniform(name="scene_detection_96", **_ENCODER, **_SCENE_DETECTION),
    StagedConfig(name="depth_cnn_96", **_CONVOLUTIONS, **_DEPTH),
    StagedConfig(name="segmentation_cnn_96", **_CONVOLUTIONS, **_SEGMENTATION),
    StagedConfig(name="detection_cnn_96", **_CONVOLUTIONS, **_DETECTION),
    StagedConfig(name="scene_detection_cnn_96", **_CONVOLUTIONS, **_SCENE_DETECTION),
    # 64 tokens of 5 rows and 5 bands, 125 ms; the rows are streamed. With a convolution before its
    # tokens it sees more, and the whole spectrogram at once. The convolutional one is as large.
    ArchConfig.uniform(name="keywords_40", depth=3, heads=2, patch_size=5, **_SPEECH),
    ArchConfig.uniform(
        name="keywords_stem_40",
        depth=3,
        heads=2,
        patch_size=2,
        stem=(StemLayer(kernel=5, stride=2, channels=24, activation="relu", batch_norm=True),),
        **_SPEECH,
    ),
    StagedConfig(
        name="keywords_cnn_40",
        **_CONVOLVED_SPEECH,
        stages=(
            ConvStage("residual", width=24),
            ConvStage("residual", width=48, stride=2),
            ConvStage("residual", width=56, stride=2),
        ),
    ),
    # Found by a search of the space keywords_staged_40 within 32 KB of SRAM and 70 ms.
    StagedConfig(
        name="keywords_searched_40",
        **_CONVOLVED_SPEECH,
        stages=(
            ConvStage("separable", width=24, depth=2),
            ConvStage("residual", width=32, depth=2, stride=2),
            AttentionStage(
                width=80,
                heads=(2, 1, 1),
                mlp_ratio=(2.0, 1.0, 2.0),
                down="merge",
                stride=2,
                position=True,
            ),
        ),
    ),
    ArchConfig.uniform(name="language_36", depth=2, heads=2, head_dim=16, **_LANGUAGE_36, **_TEXT),
    ArchConfig.uniform(name="topic_144", depth=2, heads=2, head_dim=32, **_TOPIC_144, **_TEXT),
    ArchConfig.uniform(
        name="language_pieces_16", depth=1, heads=2, head_dim=16, **_LANGUAGE_PIECES_16, **_TEXT
    ),
    ArchConfig.uniform(
        name="topic_pieces_36", depth=1, heads=3, head_dim=32, **_TOPIC_PIECES_36, **_TEXT
    ),
    StagedConfig(
        name="language_cnn_36",
        stages=(ConvStage("residual", width=32), ConvStage("residual", width=44, stride=2)),
        **_LANGUAGE_36,
    ),
    StagedConfig(
        name="topic_cnn_144",
        stages=(
            ConvStage("residual", width=64, depth=2),
            ConvStage("residual", width=64, stride=2),
        ),
        **_TOPIC_144,
    ),
    StagedConfig(
        name="language_pieces_cnn_16",
        stages=(ConvStage("residual", width=32),),
        **_LANGUAGE_PIECES_16,
    ),
    StagedConfig(
        name="topic_pieces_cnn_36",
        stages=(ConvStage("residual", width=96),),
        **_TOPIC_PIECES_36,
    ),
    ArchConfig.uniform(
        name="question_48",
        patch_size=2,
        embed_dim=48,
        depth=3,
        heads=4,
        head_dim=12,
        mlp_ratio=2.0,
        pool="cls",
        **_SHAPES,
    ),
    StagedConfig(
        name="question_cnn_48",
        stages=(ConvStage("residual", width=32, stride=2),),
        hidden=40,
        **_SHAPES,
    ),
    # As large as MCUBERT's: 23x23 bytes of width 128.
    ArchConfig.uniform(
        name="text_529",
        image_size=23,
        num_classes=2,
        embed_dim=128,
        embedding_rank=32,
        depth=2,
        heads=2,
        head_dim=64,
        **_BYTES,
        **_TEXT,
    ),
    # A small one of each kind, for tests.
    ArchConfig.uniform(
        name="test_dense",
        image_size=16,
        num_classes=3,
        patch_size=4,
        embed_dim=16,
        depth=1,
        heads=2,
        head_dim=8,
        mlp_ratio=2.0,
        dense=2,
    ),
    ArchConfig.uniform(
        name="test_question",
        image_size=16,
        num_classes=5,
        patch_size=4,
        embed_dim=16,
        depth=1,
        heads=2,
        head_dim=8,
        mlp_ratio=2.0,
        pool="cls",
        question=6,
    ),
    StagedConfig(
        name="test_question_cnn",
        image_size=16,
        num_classes=5,
        stages=(ConvStage("residual", width=8, stride=2),),
        question=6,
        hidden=12,
    ),
    StagedConfig(
        name="test_dense_cnn",
        image_size=16,
        num_classes=1,
        stages=(ConvStage("residual", width=8, stride=2),),
        dense=2,
    ),
)

TASK_PRESETS: dict[str, Architecture] = {arch.name: arch for arch in _ALL}
