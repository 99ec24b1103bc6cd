# SPDX-License-Identifier: Apache-2.0
"""Replicas on devices and in processes train what one process trains; what happens when one dies.

Every run trains the same eight steps in processes of its own (distributed_worker.py).
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from nas.supernet.cluster import DistributionError, read_cluster
from nas.supernet.distribution import make_distribution

WORKER = pathlib.Path(__file__).with_name("distributed_worker.py")
ROOT = WORKER.parents[3]
LIMIT = 900  # seconds; a process that hangs fails the test

# Sums of a batch in another order, after eight AdamW steps of 3e-3. Weights moved by up to 2e-2;
# gradients that were added instead of averaged, or clipped apart, show in the slots.
WEIGHT_TOLERANCE = 2e-5
SLOT_TOLERANCE = 5e-4  # of the largest value of the slot


def start(folder, name, kind, out, cluster=None, die_before=None, fault=""):
    env = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", PYTHONPATH=str(ROOT))
    env["FAULT"] = fault
    env.pop("TF_CONFIG", None)
    if cluster:
        env["TF_CONFIG"] = json.dumps(cluster)
    command = [sys.executable, str(WORKER), str(folder / f"{name}.npz"), str(out), kind]
    command += [] if die_before is None else [str(die_before)]
    with open(folder / f"{name}.log", "w") as log:
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)


def clusters():
    """TF_CONFIG of two workers on free loopback ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for each in sockets:
        each.close()
    return [
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}} for i in (0, 1)
    ]


def finish(process, log):
    try:
        return process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"hangs: {log.read_text()[-2000:]}")


def run_two(folder, names, outs, kills=(None, None)):
    """Exit codes of two workers."""
    processes = [
        start(folder, name, "multi_worker", out, cluster, kill)
        for name, out, cluster, kill in zip(names, outs, clusters(), kills, strict=True)
    ]
    return [finish(p, folder / f"{n}.log") for p, n in zip(processes, names, strict=True)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder with single, mirrored, and two workers of which one died and that then resumed."""
    folder = tmp_path_factory.mktemp("distribution")
    outs = [folder / name for name in ("single", "mirrored", "chief", "other")]
    for out in outs:
        out.mkdir()
    for name in ("single", "mirrored"):
        log = folder / f"{name}.log"
        assert finish(start(folder, name, name, folder / name), log) == 0, log.read_text()
    codes = run_two(folder, ("chief_alone", "killed"), outs[2:], (None, 6))
    (folder / "codes.json").write_text(json.dumps(codes))
    (folder / "files.json").write_text(json.dumps(sorted(os.listdir(outs[2]))))
    codes = run_two(folder, ("chief", "other"), outs[2:])
    assert codes == [0, 0], (folder / "chief.log").read_text() + (folder / "other.log").read_text()
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


@pytest.mark.parametrize("name", ["mirrored", "chief"])
def test_replicas_train_what_one_process_trains(runs, name):
    one, many = load(runs, "single"), load(runs, name)
    assert one["steps"] == many["steps"] == 8
    assert_same_training(one, many)
    moved = max(np.abs(v).max() for k, v in one.items() if k.startswith("slot"))
    assert moved > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["gradients added", "one share for all", "clipped apart", "own statistics"]
)
def test_a_planted_fault_is_another_training(fault, runs):
    name = fault.replace(" ", "_")
    (runs / name).mkdir()
    log = runs / f"{name}.log"
    process = start(runs, name, "mirrored", runs / name, fault=fault)
    assert finish(process, log) == 0, log.read_text()
    with pytest.raises(AssertionError):
        assert_same_training(load(runs, "single"), load(runs, name))


def test_copies_are_equal_to_the_bit(runs):
    chief, other, mirrored = (load(runs, n) for n in ("chief", "other", "mirrored"))
    for key, value in chief.items():
        if key != "compilations":
            np.testing.assert_array_equal(other[key], value, err_msg=key)
    for key, value in mirrored.items():
        if key.endswith(".1"):
            np.testing.assert_array_equal(value, mirrored[key.replace(".1", ".0")], err_msg=key)


def test_one_compilation_per_patch_on_replicas(runs):
    """Training and evaluation of two patches; the second worker does not evaluate."""
    counts = {n: int(load(runs, n)["compilations"]) for n in ("single", "mirrored", "other")}
    assert counts == {"single": 4, "mirrored": 4, "other": 2}


def test_a_killed_worker_ends_the_other_with_one_clear_line(runs):
    codes = json.loads((runs / "codes.json").read_text())
    assert codes[1] == -9
    assert codes[0] == 1
    said = [
        line for line in (runs / "chief_alone.log").read_text().splitlines()
        if line.startswith("ended:")
    ]  # fmt: skip
    assert len(said) == 1
    assert "another worker ended" in said[0]
    assert "--resume" in said[0]
    assert "checkpoint.npz" in json.loads((runs / "files.json").read_text())


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


def test_command_without_tf_config(tmp_path):
    env = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
    command = [
        sys.executable, "-m", "nas.train_supernet", "--space=digits_8",
        "--distribution=multi_worker", f"--out={tmp_path / 'out'}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("train_supernet: TF_CONFIG: not set")
    assert not (tmp_path / "out").exists()
