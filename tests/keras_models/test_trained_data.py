# SPDX-License-Identifier: Apache-2.0
"""Without --dataset a command takes what the network was trained on, and nothing else."""

import dataclasses
import json

import pytest

from keras_models import load
from keras_models.arch import ArchConfig
from keras_models.datasets import DATASETS, DatasetError
from keras_models.load import ModelNotFoundError
from keras_models.presets import get_preset
from keras_models.trained_data import chosen_dataset, recorded_recipe
from keras_models.training.recipe import DIGITS

TINY = ArchConfig.uniform(
    name="tiny", image_size=8, channels=1, num_classes=10, patch_size=4, embed_dim=8, depth=1,
    heads=1, head_dim=8, mlp_ratio=1.0,
)  # fmt: skip


def trained(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    TINY.save(folder / "arch.json")
    if content is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "train.json").write_text(text)
    return str(folder)


@pytest.mark.parametrize("name", DATASETS)
def test_the_data_set_of_the_training_is_taken(tmp_path, name):
    folder = trained(tmp_path / "run", {"dataset": name})
    data_dir = "" if name == "digits" else "images"
    assert chosen_dataset(None, data_dir, folder) == name
    assert chosen_dataset("digits", data_dir, folder) == "digits"  # a named one is


def test_a_preset_with_shipped_weights_says_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "SHIPPED", str(tmp_path))
    trained(tmp_path / "vit_micro_32", {"dataset": "cifar10"})
    assert chosen_dataset(None, "", "vit_micro_32") == "cifar10"
    with pytest.raises(ModelNotFoundError, match="'vit_t_240' has no trained weights"):
        chosen_dataset(None, "", "vit_t_240")
    assert get_preset("vit_t_240").num_classes == 1000


@pytest.mark.parametrize(
    ("content", "data_dir", "message"),
    [
        (
            {"dataset": "image_folder"},
            "",
            r"train\.json: trained on a folder .*--data_dir, or give --dataset or --x=Y$",
        ),
        ({"dataset": "digits"}, "images", "trained on digits, without a folder"),
        ({"dataset": "gone"}, "", r"train\.json: got dataset 'gone'.*--dataset=digits\|"),
        ({}, "", "got dataset None"),
        ([], "", "got dataset None"),
        ("{", "", r"train\.json: not JSON"),
        (None, "", r"train\.json: no such file.*--dataset=digits\|.* or --x=Y$"),
    ],
)
def test_refusals_say_what_to_give(tmp_path, content, data_dir, message):
    with pytest.raises(DatasetError, match=message) as found:
        chosen_dataset(None, data_dir, trained(tmp_path / "run", content), instead="--x=Y")
    assert "\n" not in str(found.value)


def test_other_weights_say_nothing(tmp_path):
    folder = trained(tmp_path / "run", {"dataset": "digits"})
    for weights in ("random", "other.weights.h5"):
        with pytest.raises(DatasetError, match=rf"--weights={weights} .*give --dataset=digits\|"):
            chosen_dataset(None, "", folder, weights)
    with pytest.raises(ModelNotFoundError, match="neither a file or directory nor a preset"):
        chosen_dataset(None, "", "nowhere")


def test_the_recipe_of_the_training_is_known_or_nothing(tmp_path):
    recipe = dataclasses.asdict(DIGITS)
    for content, found in (
        ({"recipe": recipe}, DIGITS),
        ({"recipe": {**recipe, "gone": 1}}, None),
        ({"recipe": {**recipe, "flip": 3}}, None),
        ({"recipe": 5}, None),
        ({}, None),
        ("{", None),
        (None, None),
    ):
        assert recorded_recipe(trained(tmp_path / str(content)[-9:], content)) == found
    assert recorded_recipe("vit_t_240") is None
