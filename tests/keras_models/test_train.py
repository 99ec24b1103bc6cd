# SPDX-License-Identifier: Apache-2.0
"""Training: recipes, augmentation, a real kill and resume, the command line's errors."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from keras_models import load, train
from keras_models.arch import ArchConfig
from keras_models.datasets import load_dataset
from keras_models.load import ModelNotFoundError, load_trained
from keras_models.tasks import CLASSIFICATION
from keras_models.training import finish, fit
from keras_models.training.batches import EvalBatches, TrainBatches
from keras_models.training.callbacks import Checkpoints
from keras_models.training.checkpoint import (
    CHECKPOINT_FILE,
    CheckpointError,
    DivergedError,
    Progress,
    read_progress,
    restore_checkpoint,
    save_checkpoint,
)
from keras_models.training.recipe import Recipe, RecipeError, parse_overrides, recipe_for
from keras_models.training.setup import check_setup
from tests.commands import run_here

TINY = ArchConfig.uniform(
    name="tiny",
    image_size=8,
    channels=1,
    num_classes=10,
    patch_size=4,
    embed_dim=16,
    depth=2,
    heads=2,
    head_dim=8,
    mlp_ratio=1.0,
)
OVERRIDES = {
    "epochs": 5,
    "batch_size": 64,
    "learning_rate": 3e-3,
    "warmup_epochs": 1,
    "flip": False,
    "randaugment_ops": 0,
    "drop_path": 0.2,
    "ema_momentum": 0.9,
}


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", image_size=8, channels=1)


def job(out, **changes):
    return fit.TrainJob(
        arch=TINY,
        recipe=recipe_for("tiny", "digits", **{**OVERRIDES, **changes}),
        dataset="digits",
        data_dir="",
        seed=3,
        out=str(out),
        checkpoint_every=1,
        jit=False,
    )


def words(out, *extra):
    overrides = [f"--set={name}={value}" for name, value in OVERRIDES.items()]
    return [
        f"--network={out}/tiny.json",
        f"--out={out}/run",
        "--seed=3",
        "--jit=off",
        *overrides,
        *extra,
    ]


def command(out, *extra):
    return [sys.executable, "-m", "keras_models.train", *words(out, *extra)]


def kill_after_epochs(process, checkpoint, epochs):
    """SIGKILL as soon as the checkpoint holds that many epochs; returns what it holds then."""
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline and process.poll() is None:
        if checkpoint.exists() and read_progress(str(checkpoint)).epochs_done >= epochs:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return read_progress(str(checkpoint))
        time.sleep(0.02)
    raise AssertionError("the training ended, or hung, before it could be killed")


def test_resume_after_a_kill_equals_an_uninterrupted_training(tmp_path, digits):
    TINY.save(tmp_path / "tiny.json")
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(command(tmp_path), stdout=log, stderr=log)
        killed = kill_after_epochs(process, tmp_path / "run" / "checkpoint.npz", 2)
    assert 2 <= killed.epochs_done < 5
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "run" / "train.json").exists()
    # Bars only: what TensorFlow logs while it is imported is nobody's business.
    assert "absl::InitializeLog" not in (tmp_path / "log").read_text()
    # Without --resume nothing is lost, and another recipe is refused.
    refused = run_here("keras_models.train", *words(tmp_path))
    assert refused.returncode == 1
    assert "give --resume" in refused.stderr
    other = run_here("keras_models.train", *words(tmp_path, "--resume", "--set=learning_rate=0.5"))
    assert other.returncode == 1
    assert "another recipe.learning_rate" in other.stderr
    going_on = words(tmp_path, "--resume", f"--json={tmp_path}/report.json")
    resumed = run_here("keras_models.train", *going_on)
    assert resumed.returncode == 0, resumed.stderr
    assert f"resuming after epoch {killed.epochs_done} of 5" in resumed.stdout
    report = json.loads((tmp_path / "run" / "train.json").read_text())
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report["history"][: killed.epochs_done] == killed.history
    assert len(report["history"]) == report["epochs"] == 5
    assert "keras_models.train" in report["command"]
    assert "--resume" in report["command"]
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "arch.json",
        "model.weights.h5",
        "tensorboard",
        "train.json",
    ]
    straight = train.train(make_out(job(tmp_path / "straight")), digits, "")
    _, first = load_trained(str(tmp_path / "run"))
    _, second = load_trained(str(tmp_path / "straight"))
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)
    assert straight["history"][-1]["loss"] == pytest.approx(report["history"][-1]["loss"], abs=1e-3)
    assert report["test_accuracy"] == train.accuracy(first, digits, "test")


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it."""


def killing(*_, **__):
    raise Killed


def killing_at_the_checkpoint(path):
    if path.endswith("checkpoint.npz"):
        raise Killed


# Where a training may be killed after its last epoch, by what is called there.
NAMED_POINTS = {
    "after the last checkpoint": (train, "_report", killing),
    "before the weights' place": (finish.os, "replace", killing),
    "between weights and train.json": (finish, "write_json", killing),
    "before the checkpoint is removed": (finish, "_remove", killing_at_the_checkpoint),
}
HALF_WRITTEN = ("before the weights' place", "between weights and train.json")


def test_killed_after_the_last_epoch_a_resume_gives_the_same_averaged_weights(
    tmp_path, digits, monkeypatch
):
    task = make_out(job(tmp_path, epochs=2))
    finish.write_trained(task.out, TINY, load.build_network(TINY), {})  # an older training
    model, progress = train.fit(task, digits)
    expected = model.get_weights()
    raw = np.load(task.path("checkpoint.npz"))["weight0"]
    assert not np.array_equal(raw, expected[0])  # the test can fail: averages are other weights
    for point, (owner, name, instead) in NAMED_POINTS.items():
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, instead)
            with pytest.raises(Killed):
                train.train(task, digits, "", resume=True)
        assert os.path.exists(task.path("checkpoint.npz")), point
        refused = point in HALF_WRITTEN
        assert os.path.exists(task.path("train.json")) != refused, point
        if refused:
            # arch.json and weights may be of two trainings: nobody takes them for a network.
            with pytest.raises(ModelNotFoundError, match=r"has not ended.*--resume"):
                load_trained(str(tmp_path))
    report = train.train(task, digits, "", resume=True)
    assert report["history"] == progress.history
    _, stored = load_trained(str(tmp_path))
    for one, other in zip(expected, stored.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert report["validation_accuracy"] == pytest.approx(
        progress.history[-1]["val_accuracy"], abs=1e-6
    )
    # Killed after that, or asked for again: what has ended is not done again, another training is.
    monkeypatch.setattr(train, "fit", killing)
    assert train.train(task, digits, "", resume=True) == json.loads(json.dumps(report))
    with pytest.raises(Killed):
        train.train(make_out(job(tmp_path, epochs=3)), digits, "", resume=True)


def test_a_resume_says_what_differs(tmp_path, digits, capsys):
    path, wanted = str(tmp_path / "c.npz"), json.loads(job(tmp_path).setup(digits))
    model = fit.compiled_model(job(tmp_path), 1)
    model.optimizer.build(model.trainable_variables)
    save_checkpoint(path, model, Progress(1, 0.0, [{}], json.dumps(wanted)))
    check_setup(path, json.dumps(wanted))
    for part, field, value in (
        ("data", "digest", "0123456789abcdef"),
        ("data", "class_names", ["a"]),
        ("recipe", "learning_rate", 9.0),
        ("arch", "embed_dim", 99),
    ):
        changed = {**wanted, part: {**wanted[part], field: value}}
        with pytest.raises(CheckpointError, match=rf"another {part}\.{field} \(.*, now "):
            check_setup(path, json.dumps(changed))
    save_checkpoint(path, model, Progress(1, 0.0, [], json.dumps({"weights": "1"})))
    with pytest.raises(CheckpointError, match="another weights"):
        check_setup(path, json.dumps({"weights": "2"}))
    assert capsys.readouterr().out == ""
    newer = {"versions": {"numpy": "1.0"}, "data": 1}
    save_checkpoint(path, model, Progress(1, 0.0, [], json.dumps({"versions": {"numpy": "0.9"}})))
    check_setup(path, json.dumps(newer))  # an older checkpoint says nothing of the data
    assert "made with numpy 0.9, going on with 1.0" in capsys.readouterr().out


def make_out(task):
    os.makedirs(task.out, exist_ok=True)
    return task


def test_training_learns_and_averages_weights(tmp_path, digits):
    model, progress = fit.fit(make_out(job(tmp_path, epochs=6, mixup=0.0, cutmix=0.0)), digits)
    assert progress.history[-1]["loss"] < progress.history[0]["loss"] - 0.2
    assert train.accuracy(model, digits, "validation") > 0.3
    # The saved network is the average: it is what the last validation measured.
    assert progress.history[-1]["val_accuracy"] == pytest.approx(
        train.accuracy(model, digits, "validation"), abs=1e-6
    )


def test_checkpoint_refuses_another_network(tmp_path):
    path = str(tmp_path / "c.npz")
    model = fit.compiled_model(job(tmp_path), 10)
    model.optimizer.build(model.trainable_variables)
    save_checkpoint(path, model, Progress(1, 1.0, [], "{}"))
    wider = fit.compiled_model(
        fit.TrainJob(**{**vars(job(tmp_path)), "arch": TINY.replace(embed_dim=24)}), 10
    )
    with pytest.raises(CheckpointError, match=r"weight \d+ is \(.*expected"):
        restore_checkpoint(path, wider)
    (tmp_path / "c.npz").write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match=r"c\.npz: not a checkpoint"):
        read_progress(path)


@pytest.mark.parametrize("figures", [{"loss": math.nan}, {"loss": 2.0, "val_loss": math.inf}])
def test_a_training_that_diverged_ends(tmp_path, figures):
    """It went on for all its epochs, wrote weights that are no numbers, and ended with 0."""
    path = tmp_path / CHECKPOINT_FILE
    callback = Checkpoints(str(path), Progress(2, 1.0, [{"loss": 3.0}], "{}"), 9, 1)
    with pytest.raises(DivergedError, match=r"diverged in epoch 3: got .*loss (nan|inf); begin"):
        callback.on_epoch_end(2, figures)
    assert not path.exists()


def test_a_checkpoint_that_finds_no_room_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    path = tmp_path / CHECKPOINT_FILE
    model = SimpleNamespace(weights=[], optimizer=SimpleNamespace(variables=[]))
    with pytest.raises(OSError) as found:
        save_checkpoint(str(path), model, Progress(0, 0.0, [], "{}"))
    assert found.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def test_batches_of_a_training_that_goes_on_are_the_same(digits):
    """To the bit, whichever batches were asked for before; also in the middle of an epoch."""
    recipe = recipe_for("tiny", **OVERRIDES)
    straight = TrainBatches(digits.train, 10, recipe, 0, 0)
    one = [straight[i] for i in range(len(straight))]
    straight.on_epoch_end()
    two = [straight[i] for i in range(4)]
    resumed = TrainBatches(digits.train, 10, recipe, 0, 1)
    for index in (3, 1):
        for a, b in zip(resumed[index], two[index], strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.allclose(one[0][0], two[0][0])
    assert len(straight) == len(digits.train) // 64


def test_evaluation_batches_hold_every_image_once(digits):
    batches = EvalBatches(digits.test, CLASSIFICATION, (10,), ((8, 8, 1),), 100)
    images = np.concatenate([batches[i][0] for i in range(len(batches))])
    np.testing.assert_array_equal(images, digits.test.arrays()[0])


def test_overrides():
    assert parse_overrides(["epochs=3", "flip=false", "mixup=0.5"]) == {
        "epochs": 3,
        "flip": False,
        "mixup": 0.5,
    }
    for bad in ("epoch=3", "epochs", "epochs=x", "flip=maybe"):
        with pytest.raises(RecipeError, match=f"--set={bad}"):
            parse_overrides([bad])
    with pytest.raises(RecipeError, match=r"Recipe\.drop_path: got 2\.0, expected float from 0"):
        Recipe(drop_path=2.0)


def test_recipes_do_not_decay_biases_and_norms(tmp_path):
    model = fit.compiled_model(job(tmp_path), 10)
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    decayed = {v.path for v in model.trainable_variables if optimizer._use_weight_decay(v)}
    assert decayed == {v.path for v in model.trainable_variables if v.path.endswith("kernel")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network=nope"], "model 'nope': neither a file or directory nor a preset"),
        ([], "--network is missing: "),
        (["--network=/nonexistent/a.json"], "'/nonexistent/a.json': neither a file"),
        (["--network=vit_digits", "--set=epochs=0"], "Recipe.epochs: got 0"),
        (
            ["--network=vit_micro_32", "--dataset=image_folder", "--data_dir=/nonexistent"],
            "/nonexistent: no such folder",
        ),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path):
    result = run_here("keras_models.train", f"--out={tmp_path}/out", *arguments)
    assert result.returncode == (1 if arguments else 2)
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.startswith("train: ")
