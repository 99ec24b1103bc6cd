# SPDX-License-Identifier: Apache-2.0
"""Replicas on devices and in processes train what one process trains; what happens when one dies.

Every run trains the same eight steps in a process of its own (distributed_worker.py).
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from nas import train_supernet
from nas.supernet.cluster import DistributionError, read_cluster
from nas.supernet.distribution import make_distribution

WORKER = pathlib.Path(__file__).with_name("distributed_worker.py")
ROOT = WORKER.parents[3]
LIMIT = 1800  # seconds; a process that hangs fails the test

# Sums of a batch in another order, after eight AdamW steps of 3e-3. Weights moved by up to 2e-2;
# gradients that were added instead of averaged, or clipped apart, show in the slots.
WEIGHT_TOLERANCE = 2e-5
SLOT_TOLERANCE = 5e-4  # of the largest value of the slot


@pytest.fixture(scope="module")
def runs(tmp_path_factory, request):
    """Folder with the runs of one machine, and of two workers of which one died; they resumed.

    Of one machine alone where no test that was chosen asks for more.
    """
    asking = [item.name for item in request.session.items if "runs" in item.fixturenames]
    part = ["local"] if all(name.endswith("[mirrored]") for name in asking) else []
    folder = tmp_path_factory.mktemp("distribution")
    env = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", PYTHONPATH=str(ROOT))
    env.pop("TF_CONFIG", None)
    command = [sys.executable, str(WORKER), str(folder), *part]
    process = subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True)
    try:
        assert process.wait(LIMIT) == 0
    finally:
        # The process group too: a run that hangs is not ended by its parent's end.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    codes = json.loads((folder / "ended.json").read_text())["codes"]
    for name in set(codes) - {"chief_alone", "killed"}:
        assert codes[name] == 0, (folder / f"{name}.log").read_text()
    return folder


def load(runs, name):
    with np.load(runs / f"{name}.npz") as data:
        return {key: data[key] for key in data.files}


def slot(values, i, copy=0):
    return values[f"slot{i}.{copy}"]


def assert_same_training(one, two):
    slots = sum(key.endswith(".0") for key in one)
    for key, value in one.items():
        if key.startswith("weight"):
            np.testing.assert_allclose(two[key], value, atol=WEIGHT_TOLERANCE, err_msg=key)
    for i in range(slots):
        a, b = slot(one, i).astype(float), slot(two, i).astype(float)
        scale = max(np.abs(a).max(), 1e-4)  # zero but for rounding: biases in front of a softmax
        assert np.abs(a - b).max() <= SLOT_TOLERANCE * scale, (i, a, b)


@pytest.mark.parametrize("many", ["mirrored", "chief"])
def test_replicas_train_what_one_process_trains(runs, many):
    """That the tolerances tell faults from rounding is among the planted faults of benchmarks."""
    one, many = load(runs, "single"), load(runs, many)
    assert one["steps"] == many["steps"] == 8
    assert_same_training(one, many)
    moved = max(np.abs(v).max() for k, v in one.items() if k.startswith("slot"))
    assert moved > 0


def test_copies_are_equal_to_the_bit(runs):
    chief, other = (load(runs, n) for n in ("chief", "other"))
    mirrored = load(runs, "mirrored")
    for key, value in chief.items():
        if key != "compilations":
            np.testing.assert_array_equal(other[key], value, err_msg=key)
    copies = [key for key in mirrored if key.endswith(".1")]
    assert copies
    for key in copies:
        np.testing.assert_array_equal(mirrored[key], mirrored[key[:-1] + "0"], err_msg=key)


def test_one_compilation_per_patch_on_replicas(runs):
    """Training and evaluation; the second worker does not evaluate."""
    names = ("single", "mirrored", "chief", "other")
    assert [int(load(runs, name)["compilations"]) for name in names] == [2, 2, 2, 1]


def test_a_killed_worker_ends_the_other_with_one_clear_line(runs):
    ended = json.loads((runs / "ended.json").read_text())
    assert ended["codes"]["killed"] == -signal.SIGKILL
    assert ended["codes"]["chief_alone"] == 1
    said = [
        line for line in (runs / "chief_alone.log").read_text().splitlines()
        if line.startswith("ended:")
    ]  # fmt: skip
    assert len(said) == 1
    assert "another worker ended" in said[0]
    assert "--resume" in said[0]
    assert "checkpoint.npz" in ended["left"]


def test_only_the_chief_writes(runs):
    assert {"space.json", "supernet.npz", "train.json", "tensorboard"} <= set(
        os.listdir(runs / "chief")
    )
    assert os.listdir(runs / "other") == []
    assert "checkpoint.npz" not in os.listdir(runs / "chief")
    report = json.loads((runs / "chief" / "train.json").read_text())
    assert (report["distribution"], report["replicas"], report["epochs"]) == ("multi_worker", 2, 2)
    assert "resuming after epoch 1 of 2" in (runs / "chief.log").read_text()


def config(**changes):
    task = {"type": "worker", "index": 0}
    data = {"cluster": {"worker": ["a:1", "b:2"]}, "task": task}
    return json.dumps({**data, **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "not set, expected"),
        ("", "not set, expected"),
        ("{", "expected"),
        ("[]", "expected"),
        (config(cluster={"worker": ["a"]}), "host:port"),
        (config(cluster={"worker": "a:1"}), "host:port"),
        (config(cluster={"worker": 3}), "expected"),
        (config(task={"type": [], "index": 0}), "of a process in the cluster"),
        (config(cluster={"worker": ["a:1"], "ps": ["b:2"]}), "host:port"),
        (config(cluster={"worker": ["a:1", "a:1"]}), "different addresses"),
        (config(task={"type": "worker", "index": 2}), "of a process in the cluster"),
        (config(task={"type": "worker", "index": "0"}), "of a process in the cluster"),
        (config(task={"type": "evaluator", "index": 0}), "of a process in the cluster"),
    ],
)
def test_a_wrong_tf_config_is_one_line(text, message):
    with pytest.raises(DistributionError, match=message) as error:
        read_cluster(text)
    assert "\n" not in str(error.value)


def test_who_is_the_chief():
    assert read_cluster(config()).chief
    second = read_cluster(config(task={"type": "worker", "index": 1}))
    assert not second.chief
    assert second.others == ("a:1",)
    with_chief = {"chief": ["c:3"], "worker": ["a:1"]}
    first = read_cluster(config(cluster=with_chief))
    assert (first.chief, first.others) == (False, ("c:3",))
    assert read_cluster(config(cluster=with_chief, task={"type": "chief", "index": 0})).chief


def test_only_with_tensorflow(monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    for kind in ("mirrored", "multi_worker"):
        with pytest.raises(DistributionError, match="got KERAS_BACKEND=jax, expected tensorflow"):
            make_distribution(kind)
    assert make_distribution("none").chief


def test_command_without_tf_config(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    words = ["--space=digits_8", "--distribution=multi_worker", f"--out={tmp_path / 'out'}"]
    with pytest.raises(SystemExit) as ended:
        train_supernet.main(words)
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train_supernet: TF_CONFIG: not set")
    assert not (tmp_path / "out").exists()
