# SPDX-License-Identifier: Apache-2.0
"""Supernet training on real digits: learning, resuming, refusals; what follows it."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from boards import board_names, get_board
from keras_models.datasets import DatasetError, load_dataset
from keras_models.datasets.identity import identity_of, recorded_in
from keras_models.load import load_trained
from keras_models.training.checkpoint import CHECKPOINT_FILE, CheckpointError
from keras_models.training.distillation import Objective
from keras_models.training.recipe import DIGITS
from keras_models.training.setup import differences, setup_digest
from nas.command import Sampling
from nas.cost.complexity import LEVELS
from nas.cost.model import CostModel
from nas.cost.targets import BudgetError, Target
from nas.space import Patch, SpaceError
from nas.space.presets import SPACES
from nas.supernet.compiled import Steps
from nas.supernet.data import load_search_data, with_search_split
from nas.supernet.evaluator import Evaluator, SupernetSource
from nas.supernet.extract import extract
from nas.supernet.files import load_supernet, save_supernet, trained_on
from nas.supernet.retraining import RetrainJob, network_of, retrain, write
from nas.supernet.training import SupernetJob, Training, train
from tests.commands import run_here

SPACE = SPACES["digits_8"].replace(patches=(Patch(4),), embed_dim=(16, 32), depth=(1, 2))
RECIPE = dataclasses.replace(
    DIGITS,
    epochs=4,
    warmup_epochs=1,
    mixup=0.0,
    mix_probability=0.0,
    learning_rate=8e-3,
    ema_momentum=0.9,
)
MODEL = CostModel(Target(sram_bytes=16 * 1024, flash_bytes=64 * 1024))


def job(out, **changes):
    fields = {
        "space": SPACE,
        "model": MODEL,
        "recipe": RECIPE,
        "objective": Objective(0.1, 0.0),
        "sandwich": False,
        "seed": 3,
        "out": str(out),
    }
    os.makedirs(out, exist_ok=True)
    return SupernetJob(**{**fields, **changes})


@pytest.fixture(scope="module")
def data():
    return load_search_data("digits", "", SPACE)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    out = tmp_path_factory.mktemp("supernet")
    return str(out), train(job(out), data, "command")


def test_the_setup_of_a_board_is_plain_data(tmp_path, data):
    """With limits in bytes alone it was; `--board` ended with a traceback."""
    setups = set()
    for name in board_names():
        model = CostModel(Target.of_board(get_board(name)))
        text = job(tmp_path, model=model).setup(data)
        assert json.loads(text)["model"]["target"]["name"] == name
        setups.add(text)
    assert len(setups) == len(board_names())


def test_a_walk_over_sizes_is_another_training_and_none_is_as_before(tmp_path, data):
    """Trainings from before there were levels go on: their set-up says nothing of them."""
    plain, walk = (json.loads(job(tmp_path, levels=n).setup(data)) for n in (None, 8))
    assert "levels" not in plain
    assert walk["levels"] == 8
    assert {k: v for k, v in walk.items() if k != "levels"} == plain
    chosen = {s.value: (s.sandwich, s.levels) for s in Sampling}
    assert chosen == {
        "uniform": (False, None),
        "sandwich": (True, None),
        "complexity": (False, LEVELS),
    }


def test_no_image_is_in_two_splits(data):
    splits = (data.dataset.train, data.search, data.dataset.validation, data.dataset.test)
    keys = [set(split.image_keys()) for split in splits]
    whole = load_dataset("digits", image_size=8, channels=1)
    assert sum(len(k) for k in keys) == len(set().union(*keys)) == 1797
    assert keys[0] | keys[1] == set(whole.train.image_keys())
    assert len(data.search) == pytest.approx(0.2 * len(whole.train), rel=0.02)
    with pytest.raises(SpaceError, match="search_fraction"):
        with_search_split(whole, 1.0)
    # Each image eight times: all of the search were in the training too.
    with pytest.raises(SpaceError, match="--dataset=fractals has its training images more than"):
        load_search_data("fractals", "", SPACE)


def photographs_of_ten(folder):
    """Ten images of noise of each of ten classes."""
    rng = np.random.default_rng(0)
    for name in "abcdefghij":
        (folder / name).mkdir()
        for number in range(10):
            pixels = rng.integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def test_some_search_images_are_of_all_classes(trained, tmp_path):
    """Files come class by class: the first 2,500 of CIFAR-10 were airplanes, cars and birds."""
    photographs_of_ten(tmp_path)
    source = SupernetSource(
        trained[0], "image_folder", str(tmp_path), search_fraction=0.5, images=8
    )
    evaluator = Evaluator(source, SPACE, allow_other_data=True)
    images, labels = evaluator._images
    again, _ = Evaluator(source, SPACE, allow_other_data=True)._images
    first = evaluator._data.search.take(8).labels()
    assert len(np.unique(first)) <= 3 < 5 <= len(np.unique(labels))
    np.testing.assert_array_equal(images, again)


def test_other_images_than_the_trainings_are_refused(trained, tmp_path):
    """Ten classes of photographs on a supernet of ten digits gave 4 to 12 % without a word."""
    photographs_of_ten(tmp_path)
    folder, report = trained
    assert recorded_in(report) == identity_of(load_dataset("digits", image_size=8, channels=1))
    assert trained_on(folder) == recorded_in(report)
    photographs = SupernetSource(folder, "image_folder", str(tmp_path))
    with pytest.raises(DatasetError, match=r"trained on digits.*class 0 is '0' there and 'a' here"):
        Evaluator(photographs, SPACE).load()
    Evaluator(photographs, SPACE, allow_other_data=True).load()
    Evaluator(SupernetSource(folder, "digits"), SPACE).load()


def test_images_that_the_supernet_has_seen_are_refused(trained, tmp_path, data):
    """Of a larger share for the search some were in the training: figures flatter."""
    folder, report = trained
    other = SupernetSource(folder, "digits", search_fraction=0.5)
    kept = report["images"]["search"]
    with pytest.raises(SpaceError, match=f"without {kept} images.*give the --search_fraction"):
        Evaluator(other, SPACE).load()
    Evaluator(other, SPACE, allow_other_data=True).load()
    half = load_search_data("digits", "", SPACE, 0.5)
    mine, others = (job(folder).setup(each) for each in (data, half))
    changed = differences(json.loads(mine), json.loads(others))
    assert changed == {"search_fraction": (0.2, 0.5)}
    assert job(folder).ended(data)
    assert job(folder).ended(half) is None
    shutil.copytree(folder, tmp_path / "earlier")
    before = json.loads(mine)
    del before["search_fraction"]  # versions before this one did not write it down
    text = json.dumps({**report, "setup": setup_digest(json.dumps(before))})
    (tmp_path / "earlier" / "train.json").write_text(text)
    assert job(tmp_path / "earlier").ended(data)
    assert job(tmp_path / "earlier").ended(half) is None


def test_it_learns_with_one_compilation_per_patch(trained):
    _, report = trained
    losses = [h["loss"] for h in report["history"]]
    assert losses[-1] < 0.85 * losses[0]
    assert report["history"][-1]["largest"] > 0.25
    assert report["patches"] == 1
    assert report["compilations"] == 2  # the training step and the evaluation
    assert report["networks_that_fit"] < report["networks"]


def test_stored_supernet_is_the_trained_one(trained, data):
    out, _ = trained
    net = load_supernet(out)
    images, labels = data.arrays(data.dataset.validation)
    config = SPACE.largest()
    logits = keras.ops.convert_to_numpy(extract(net, config)(images))
    steps = Steps(net)
    found = steps.accuracy(images, labels, config, 100)  # batches that do not divide the images
    assert found == pytest.approx((logits.argmax(-1) == labels).mean(), abs=1 / len(labels))
    os.rename(os.path.join(out, "supernet.npz"), os.path.join(out, "moved"))
    try:
        with pytest.raises(SpaceError, match=r"supernet\.npz: not the weights"):
            load_supernet(out)
    finally:
        os.rename(os.path.join(out, "moved"), os.path.join(out, "supernet.npz"))


class Killed(Exception):
    pass


def test_resumed_training_is_the_uninterrupted_one(trained, data, tmp_path):
    whole, _ = trained
    first = Training(job(tmp_path), data)
    original, taken = first.steps.train, []

    def killed_later(*arguments):
        taken.append(1)
        if len(taken) == 2 * len(first.batches) + 3:
            raise Killed
        return original(*arguments)

    first.steps.train = killed_later
    with pytest.raises(Killed):
        first.fit()
    assert os.path.exists(tmp_path / CHECKPOINT_FILE)
    other = Training(job(tmp_path, seed=4), data)
    with pytest.raises(CheckpointError, match=r"made with another seed \(\d+, now 4\)"):
        other.resume(str(tmp_path / CHECKPOINT_FILE))
    report = train(job(tmp_path), data, "command", resume=True)
    assert report["epochs"] == RECIPE.epochs
    assert train(job(tmp_path), data, "command", resume=True) == json.loads(json.dumps(report))
    a, b = load_supernet(whole), load_supernet(str(tmp_path))
    for one, two in zip(a.weights, b.weights, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(two), atol=2e-4)
    assert not os.path.exists(tmp_path / CHECKPOINT_FILE)


def test_an_impossible_budget_is_refused_before_training(tmp_path, data):
    model = CostModel(Target(sram_bytes=16 * 1024, flash_bytes=36 * 1024))
    with pytest.raises(BudgetError, match=r"least constants are [\d,]+ bytes \([\d,]+ parameters"):
        Training(job(tmp_path, model=model), data)


def test_what_cannot_be_a_start_is_refused_before_the_data_are_read(trained, tmp_path):
    """A data set of files is unpacked for minutes; --data_dir names none here."""
    out, _ = trained
    other = tmp_path / "other.json"
    SPACE.replace(activation="quick_gelu").save(str(other))
    words = [f"--space={other}", "--dataset=image_folder", f"--data_dir={tmp_path}/none"]
    refusals = {"none": "no such directory", out: "activation 'gelu', expected 'quick_gelu'"}
    for initial, why in refusals.items():
        run = run_here(
            "nas.train_supernet", *words, f"--initial={initial}", f"--out={tmp_path}/run"
        )
        assert run.returncode == 1
        assert why in run.stderr
        assert not (tmp_path / "run").exists()
    for own, why in (
        (["--distill=0.5"], "--distill needs --teacher=FOLDER"),
        ([f"--teacher={tmp_path}"], "--teacher needs --distill"),
        ([f"--teacher={tmp_path}", "--distill=0.5"], f"{tmp_path}/arch.json: "),
    ):
        run = run_here("nas.train_supernet", *words, *own, f"--out={tmp_path}/run")
        assert run.returncode == 1
        assert why in run.stderr
        assert not (tmp_path / "run").exists()
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / CHECKPOINT_FILE).touch()
    run = run_here("nas.train_supernet", *words, "--overwrite", f"--out={unfinished}")
    assert run.returncode == 1
    assert f"{tmp_path}/none" in run.stderr
    assert (unfinished / CHECKPOINT_FILE).exists()  # nothing is discarded for a refused training
    for module in ("nas.train_supernet", "nas.retrain"):
        own = ["--supernet=none", "--front=none"] if module == "nas.retrain" else words
        run = run_here(module, *own, f"--out={unfinished}")
        assert "give --resume to go on with that training, --overwrite to start" in run.stderr
        run = run_here(module, *own, f"--out={tmp_path}/new", f"--json={tmp_path}")
        assert f"{tmp_path}: got a folder, expected the name of a file" in run.stderr
        assert not (tmp_path / "new").exists()
    open(os.path.join(out, CHECKPOINT_FILE), "wb").close()
    os.rename(os.path.join(out, "train.json"), tmp_path / "train.json")
    try:  # killed while it wrote its result
        with pytest.raises(SpaceError, match="has not ended"):
            load_supernet(out)
    finally:
        os.rename(tmp_path / "train.json", os.path.join(out, "train.json"))
        os.remove(os.path.join(out, CHECKPOINT_FILE))


def test_retraining_from_inherited_weights(trained, data, tmp_path):
    out, _ = trained
    net = load_supernet(out)
    config = SPACE.smallest()
    recipe = dataclasses.replace(RECIPE, epochs=1, warmup_epochs=0, learning_rate=1e-3)
    results = []
    for weights in ("inherited", "scratch"):
        work = str(tmp_path / weights)
        os.makedirs(work)
        task = RetrainJob(config, weights, recipe, Objective(0.1, 0.5), 0, work)
        model, progress = retrain(task, net, data.dataset)
        results.append(write(task, net, data.dataset, model, progress, "command"))
        arch, loaded = load_trained(work)
        assert arch == SPACE.arch(config)
        images, _ = data.arrays(data.dataset.test)
        assert np.allclose(np.asarray(loaded(images)), np.asarray(model(images)), atol=1e-5)
    assert results[0]["test_accuracy"] > results[1]["test_accuracy"]


def test_choosing_a_network_of_a_front(tmp_path):
    path = tmp_path / "front.json"
    one, two = SPACE.smallest(), SPACE.largest()
    front = [
        {"trial": 4, "accuracy": 0.5, "config": one.to_dict()},
        {"trial": 9, "accuracy": 0.7, "config": two.to_dict()},
    ]
    path.write_text(json.dumps({"front": front}))
    assert network_of(str(path), None) == two
    assert network_of(str(path), 4) == one
    with pytest.raises(SpaceError, match="expected one of 4, 9"):
        network_of(str(path), 5)
    path.write_text("[]")
    with pytest.raises(SpaceError, match=r"not a front\.json"):
        network_of(str(path), None)


def test_search_command_after_training(trained, tmp_path):
    out, _ = trained
    words = [
        f"--supernet={out}", f"--out={tmp_path}",
        "--trials=6", "--population=4", "--count=40", "--streamed", "--sram=16384", "--flash=65536",
    ]  # fmt: skip
    command = [sys.executable, "-m", "nas.search", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "search.json").read_text())
    assert report["evaluated"] == 6
    assert 1 <= len(report["front"]) <= 6
    again = run_here("nas.search", *words)
    assert again.returncode != 0
    assert "--resume" in again.stderr.strip().splitlines()[-1]
    # The same folder with other weights: accuracies of two supernets in one study.
    weights = tmp_path / os.path.basename(out)
    shutil.copytree(out, weights)
    net = load_supernet(out)
    net.weights[0].assign(np.asarray(net.weights[0]) + 1.0)
    save_supernet(str(weights), net)
    other = run_here("nas.search", f"--supernet={weights}", *words[1:], "--resume")
    assert other.returncode == 1
    assert "another weights" in other.stderr
