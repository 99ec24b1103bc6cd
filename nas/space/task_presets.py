# SPDX-License-Identifier: Apache-2.0
"""Named search spaces of tasks beyond classification."""

from __future__ import annotations

from keras_models.arch import StemLayer
from keras_models.speech.words import CLASSES as WORDS
from nas.space import Patch, SearchSpace
from nas.space.stage_space import StageSpace
from nas.space.staged_space import StagedSpace

_STEM = (StemLayer(kernel=5, stride=2, channels=24, activation="relu", batch_norm=True),)

# Around `keywords_40` and `keywords_stem_40`: patches of the spectrogram, or behind a convolution.
KEYWORDS_40 = SearchSpace(
    name="keywords_40",
    image_size=40,
    channels=1,
    num_classes=len(WORDS),
    patches=(Patch(5), Patch(2, _STEM), Patch(4, _STEM)),
    embed_dim=(32, 48, 64),
    depth=(2, 3, 4),
    heads=(1, 2, 3),
    mlp_ratio=(1.0, 2.0),
    head_dim=32,
)

# Around `keywords_cnn_40`, whose last stage may be attention instead: 5x5 tokens.
KEYWORDS_STAGED_40 = StagedSpace(
    name="keywords_staged_40",
    image_size=40,
    channels=1,
    num_classes=len(WORDS),
    stem=(StemLayer(kernel=3, stride=2, channels=16, activation="relu", batch_norm=True),),
    stages=(
        StageSpace(("residual", "separable"), depth=(1, 2), width=(24, 32)),
        StageSpace(("residual", "separable"), depth=(1, 2), width=(32, 48, 64), stride=2),
        StageSpace(
            ("attention",),
            depth=(1, 2, 3),
            width=(48, 64, 80, 96),
            heads=(1, 2, 3),
            mlp_ratio=(1.0, 2.0),
            down="merge",
            stride=2,
            position=True,
        ),
    ),
)

TASK_SPACES = {space.name: space for space in (KEYWORDS_40, KEYWORDS_STAGED_40)}
