# SPDX-License-Identifier: Apache-2.0
"""Tasks beyond classification: figures by hand, dense heads, and one of them from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_models.arch import ArchConfig, ArchError
from keras_models.datasets import DATASETS, DatasetError, Split, load_dataset
from keras_models.datasets.core import ArraySource
from keras_models.datasets.identity import identity_of
from keras_models.datasets.made import SPLITS, split_file
from keras_models.layers import layers_for
from keras_models.load import resolve_arch
from keras_models.scenes.world import CLASSES
from keras_models.tasks import TASKS, TaskError, expect_output, task_named, task_of_data
from keras_models.tasks.pictures import enlarged, sampled
from keras_models.tasks.task import Task
from keras_models.training.batches import TaskBatches
from keras_models.training.recipe import Recipe, recipe_for
from keras_models.vit import build_vit
from tests.commands import run_here

DEPTH, SEGMENTATION = TASKS["depth"], TASKS["segmentation"]
SMALL = ArchConfig.uniform(
    name="small", image_size=96, num_classes=1, patch_size=16, embed_dim=16, depth=1, heads=2,
    head_dim=8, mlp_ratio=2.0, dense=8,
)  # fmt: skip


# ---- declarations and figures --------------------------------------------------------------------


def test_every_data_set_is_one_task_s() -> None:
    assert sorted(DATASETS) == sorted(name for task in TASKS.values() for name in task.datasets)
    assert all(task_of_data(name) is task for task in TASKS.values() for name in task.datasets)
    assert all(task_named(name) is task for name, task in TASKS.items())
    with pytest.raises(TaskError, match="task 'sleep' does not exist, expected one of classif"):
        task_named("sleep")


def test_depth_figures() -> None:
    targets = np.full((1, 2, 2), 2.0, np.float16)
    outputs = np.log([[[[2.0], [2.2]], [[4.0], [1.0]]]])
    scores = DEPTH.scores(outputs, targets).tree()
    assert scores["abs_rel"] == pytest.approx((0 + 0.1 + 1 + 0.5) / 4)
    assert scores["rmse_m"] == pytest.approx(np.sqrt((0.04 + 4 + 1) / 4))
    assert scores["delta"] == 0.5


def test_segmentation_figures() -> None:
    targets = np.array([[[0, 0], [1, 1]]], np.uint8)
    outputs = np.eye(4)[[[[0, 1], [1, 1]]]]
    scores = SEGMENTATION.scores(outputs, targets).tree()
    assert scores["iou"] == [0.5, pytest.approx(2 / 3), None, None]  # nobody says 2 and 3
    assert scores["miou"] == pytest.approx((0.5 + 2 / 3) / 2)
    assert scores["pixels"] == 0.75
    assert SEGMENTATION.agreement(outputs, np.eye(4)[[[[0, 1], [0, 1]]]]) == 0.75


def test_a_coarse_output_stands_for_all_its_pixels() -> None:
    targets = np.arange(16).reshape(1, 4, 4)
    assert sampled(targets, (2, 2, 1)).tolist() == [[[5, 7], [13, 15]]]
    big = enlarged(np.array([[[1, 2], [3, 4]]]), targets)
    assert big.tolist() == [[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]
    with pytest.raises(ValueError, match="got 3 x 3 pixels, expected a part of 4 x 4"):
        enlarged(np.zeros((1, 3, 3)), targets)


@pytest.mark.parametrize("task", [DEPTH, SEGMENTATION], ids=lambda task: task.name)
def test_what_is_wanted_is_what_scores_best(task: Task) -> None:
    rng = np.random.default_rng(0)
    # Of blocks, so that half of the side loses nothing.
    blocks = rng.integers(1, 7, (3, 4, 4)).repeat(2, axis=1).repeat(2, axis=2)
    shape = (4, 4, 1 if task is DEPTH else 7)
    wanted = task.wanted(blocks, shape)
    assert wanted.shape == (3, *shape)
    assert wanted.dtype == np.float32
    perfect = task.scores(wanted, blocks)
    assert perfect.figure == pytest.approx(0.0 if task is DEPTH else 1.0, abs=1e-6)
    assert perfect.images == 3
    loss = task.loss(0.0)(wanted, wanted * 50 if task is SEGMENTATION else wanted)
    assert float(loss) == pytest.approx(0.0, abs=1e-6)


# ---- dense heads ---------------------------------------------------------------------------------


def test_each_token_s_values_are_its_part_of_the_picture() -> None:
    side, pixels, classes = 3, 2, 2
    values = np.random.default_rng(0).normal(size=(2, side**2, pixels**2 * classes))
    layer = layers_for(keras).PixelShuffle((6, 6, classes), pixels)
    picture = keras.ops.convert_to_numpy(layer(values.astype(np.float32)))
    assert picture.shape == (2, 6, 6, classes)
    for token in range(side**2):
        y, x = (pixels * n for n in divmod(token, side))
        part = picture[:, y : y + pixels, x : x + pixels].reshape(2, -1)
        np.testing.assert_array_equal(part, values[:, token].astype(np.float32))


@pytest.mark.parametrize("name", ["test_dense", "test_dense_cnn"])
def test_sizes_of_dense_networks(name: str) -> None:
    arch = resolve_arch(name)
    model = build_vit(arch)
    assert model.output_shape[1:] == arch.output_shape
    assert (
        model.count_params() - sum(int(np.prod(w.shape)) for w in model.non_trainable_weights)
        == arch.params
    )
    assert type(arch).from_json(arch.to_json()) == arch


def test_classifiers_are_written_as_they_were() -> None:
    for name in ("test_tiny", "test_stages"):
        assert "dense" not in json.loads(resolve_arch(name).to_json())


def test_what_a_dense_head_cannot_have() -> None:
    with pytest.raises(ArchError, match=r"pool: got 'cls', expected \"mean\" with dense 8"):
        SMALL.replace(pool="cls")
    with pytest.raises(TaskError, match="'small' makes a picture, task classification needs"):
        expect_output(SMALL.name, SMALL.output_shape, TASKS["classification"])


def test_image_and_targets_are_mirrored_together() -> None:
    depth = np.random.default_rng(0).uniform(1, 8, (40, 4, 4)).astype(np.float16)
    images = (np.log(depth.astype(np.float32)) * 100).astype(np.uint8)[..., None]
    split = Split("train", ArraySource(images, depth), np.arange(40))
    recipe = recipe_for("depth_96", batch_size=40)
    batches = TaskBatches(split, DEPTH, (4, 4, 1), ((4, 4, 1),), recipe, 0, 0)
    seen, wanted = batches[0]
    pixels = (seen + 1) * 127.5
    assert np.abs(pixels - wanted * 100).max() <= 1.001
    straight = np.rint(pixels).astype(np.uint8)[..., 0] == images[batches.order, ..., 0]
    same = straight.reshape(40, -1).all(axis=1)
    assert 5 < same.sum() < 35  # others are mirrored
    again = TaskBatches(split, DEPTH, (4, 4, 1), ((4, 4, 1),), recipe, 0, 0)[0]
    np.testing.assert_array_equal(again[0], seen)


# ---- from end to end -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures whose brightness is the depth."""
    folder = tmp_path_factory.mktemp("scenes")
    for number, split in enumerate(SPLITS):
        rng = np.random.default_rng(number)
        far = rng.uniform(1, 8, (16, 6, 6)).repeat(16, axis=1).repeat(16, axis=2)
        color = np.repeat((far[..., None] * 30).astype(np.uint8), 3, axis=-1)
        labels = (far < 4).astype(np.uint8)
        np.savez(split_file(str(folder), split), color=color, depth=far.astype(np.float16),
                 labels=labels)  # fmt: skip
    return folder


def test_scenes(scenes: Path, tmp_path: Path) -> None:
    depth, labels = (load_dataset(name, str(scenes), image_size=96, channels=3)
                     for name in ("scene_depth", "scene_labels"))  # fmt: skip
    assert labels.class_names == CLASSES
    assert depth.class_names == ("depth",)
    assert identity_of(depth).digest != identity_of(labels).digest
    with pytest.raises(DatasetError, match=r"needs --data_dir=FOLDER; python -m keras_models.rend"):
        load_dataset("scene_depth", image_size=96, channels=3)
    with pytest.raises(DatasetError, match="96 pixels and 3 channels, the network takes 32 and 1"):
        load_dataset("scene_depth", str(scenes), image_size=32, channels=1)
    maps = np.full((2, 96, 96), 7)
    np.savez(tmp_path / "train.npz", color=np.zeros((2, 96, 96, 3), np.uint8), labels=maps,
             depth=maps.astype(np.float16) * 0)  # fmt: skip
    for name, message in (("labels", "labels: got 7 to 7, expected 0 to 6"),
                          ("depth", r"depth: got 0 to 0 m, expected 0\.1 m or more")):  # fmt: skip
        with pytest.raises(DatasetError, match=rf"train\.npz: .*{message}"):
            load_dataset(f"scene_{name}", str(tmp_path), image_size=96, channels=3)


def test_depth_from_training_to_every_runtime(scenes: Path, tmp_path: Path) -> None:
    SMALL.save(tmp_path / "small.json")
    run, plain, fused, report = (str(tmp_path / n) for n in ("run", "p.tflite", "f.tflite", "e"))
    data = f"--data_dir={scenes}"
    train = ("keras_models.train", "--task=depth", f"--network={tmp_path}/small.json", data,
             f"--out={run}", "--jit=off")  # fmt: skip
    refused = run_here(*train)
    assert (
        "got translation, randaugment_ops, random_erasing, mixup, cutmix, which" in refused.stderr
    )
    off = [
        f"--set={name}=0"
        for name in (
            "translation",
            "randaugment_ops",
            "random_erasing",
            "mixup",
            "cutmix",
            "ema_momentum",
            "warmup_epochs",
        )
    ]
    for words in (
        (*train, *off, "--epochs=2", "--batch_size=4"),
        ("converter.quantize", f"--network={run}", data, "--calibration_count=8", f"--out={plain}"),
        ("converter.fuse", f"--model={plain}", f"--out={fused}"),
        ("converter.evaluate", f"--model={fused}", f"--network={run}", data, "--count=4",
         "--runtime=reference,host,tflm", f"--json={report}"),
    ):  # fmt: skip
        done = run_here(*words)
        assert done.returncode == 0, done.stderr
    assert "AbsRel" in done.stdout
    found = json.loads(Path(report).read_text(encoding="utf-8"))
    assert all(pair["logits_different"] == 0 for pair in found["comparisons"])
    runtimes = found["runtimes"].values()
    assert len({json.dumps([r["abs_rel"], r["delta"]]) for r in runtimes}) == 1
    assert found["float"]["abs_rel"] == pytest.approx(found["runtimes"]["host"]["abs_rel"], abs=0.1)
    record = json.loads((tmp_path / "run" / "train.json").read_text(encoding="utf-8"))
    assert record["task"] == "depth"
    assert record["test_abs_rel"] == record["test"]["abs_rel"]
    quantize = ("converter.quantize", f"--out={plain}", data)
    wrong = run_here(*quantize, f"--network={run}", "--task=segmentation")
    assert "was trained for depth: leave --task=segmentation out" in wrong.stderr
    small = (f"--network={tmp_path}/small.json", "--weights=random", f"--calibration_dir={scenes}")
    wrong = run_here(*quantize[:2], *small)
    assert "'small' makes a picture, task classification needs one with `dense` 0" in wrong.stderr
    wrong = run_here(*quantize[:2], *small, "--task=depth")
    assert "no image files" in wrong.stderr  # the task is right
    wrong = run_here("converter.evaluate", f"--model={fused}", "--dataset=scene_labels", data)
    assert "made for depth, scene_labels is not; expected one of scene_depth" in wrong.stderr
    wrong = run_here("keras_models.train", "--task=depth", "--dataset=digits",
                     f"--network={tmp_path}/small.json", f"--out={run}2")  # fmt: skip
    assert "--dataset=digits is not for --task=depth, expected one of scene_depth" in wrong.stderr


def test_recipes_of_dense_presets_move_nothing() -> None:
    for name in ("depth_96", "segmentation_96", "depth_cnn_96", "segmentation_cnn_96"):
        recipe = recipe_for(name)
        assert recipe != Recipe()
        assert not any((recipe.translation, recipe.mixup, recipe.cutmix, recipe.randaugment_ops))


def test_networks_of_any_name_take_the_recipe_of_their_data() -> None:
    for dataset in ("digits", "spoken_digits", "page_languages", "shape_questions"):
        recipe = recipe_for("mine", dataset)
        assert (recipe.flip, recipe.cutmix) == (False, 0.0)
    assert recipe_for("vit_micro_32", "digits").flip
    assert recipe_for("mine", "cifar10") == Recipe()


def test_classes_beyond_a_byte_do_not_wrap() -> None:
    from keras_models.tasks.segmentation import classes_of

    outputs = np.zeros((1, 1, 1, 300), np.float32)
    outputs[..., 299] = 1.0
    assert classes_of(outputs).item() == 299
