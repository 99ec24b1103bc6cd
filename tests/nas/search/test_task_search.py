# SPDX-License-Identifier: Apache-2.0
"""A search of another task than classification: keywords, from spectrograms to a network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from keras_models.datasets.made import SPLITS, split_file
from keras_models.datasets.speech import KEYS
from keras_models.speech.words import CLASSES
from keras_models.task_presets import TASK_PRESETS
from keras_models.tasks import KEYWORDS
from keras_models.trained_data import recorded_task
from nas.space import Patch, SearchSpace
from nas.space.presets import get_space
from tests.commands import run_here

SMALL = SearchSpace(
    name="small", image_size=40, channels=1, num_classes=len(CLASSES), patches=(Patch(20),),
    embed_dim=(8, 16), depth=(1,), heads=(1, 2), mlp_ratio=(1.0,), head_dim=8,
)  # fmt: skip


def test_the_named_space_has_the_presets_that_it_is_around() -> None:
    space = get_space("keywords_40")
    assert (space.image_size, space.channels, space.num_classes) == (40, 1, len(CLASSES))
    for name in ("keywords_40", "keywords_stem_40"):
        arch = TASK_PRESETS[name]
        assert any((p.size, p.stem) == (arch.patch_size, arch.stem) for p in space.patches)
        assert arch.embed_dim in space.embed_dim
        assert arch.depth in space.depth


def test_the_space_of_stages_is_around_the_convolutional_preset() -> None:
    space, arch = get_space("keywords_staged_40"), TASK_PRESETS["keywords_cnn_40"]
    assert (space.image_size, space.channels, space.num_classes) == (40, 1, len(CLASSES))
    assert space.stem == arch.stem
    assert [s.stride for s in space.stages] == [s.stride for s in arch.stages]
    assert ("residual", "residual", "attention") in {
        tuple(kind for kind, _ in form) for form in space.forms()
    }


def test_keywords_are_searched(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(len(CLASSES), dtype=np.uint8), 4)
    for split in SPLITS:
        sounds = rng.integers(0, 256, (len(labels), 40, 40, 1)).astype(np.uint8)
        np.savez(split_file(str(tmp_path), split), **dict(zip(KEYS, (sounds, labels), strict=True)))
    SMALL.save(tmp_path / "small.json")
    data = ("--dataset=spoken_digits", f"--data_dir={tmp_path}")
    net, found, run = (str(tmp_path / name) for name in ("net", "found", "run"))
    target = ("--board=stm32f746g_disco",)
    for words in (
        ("nas.train_supernet", f"--space={tmp_path}/small.json", *data, *target, "--epochs=1",
         "--batch_size=12", f"--out={net}"),
        ("nas.search", f"--supernet={net}", *data, *target, "--trials=3", f"--out={found}"),
        ("nas.retrain", f"--supernet={net}", f"--front={found}/front.json", *data, "--epochs=1",
         "--batch_size=12", f"--out={run}"),
    ):  # fmt: skip
        done = run_here(*words)
        assert done.returncode == 0, done.stderr
    assert recorded_task(run) is KEYWORDS
    record = json.loads(Path(run, "train.json").read_text(encoding="utf-8"))
    assert record["recipe"]["flip"] is False  # a mirrored word is another one
    assert record["images"]["train"] == len(labels)
