# SPDX-License-Identifier: Apache-2.0
"""The trainings of test_distribution.py: a few steps on digits, then everything they know as .npz.

    distributed_worker.py FOLDER [local]

Each is a process of its own, forked from this one, which has imported TensorFlow for all of them
(that takes longer than a training) and never uses it.
"""

import dataclasses
import json
import os
import pathlib
import signal
import socket
import sys
from unittest import mock

import numpy as np
import tensorflow as tf

from keras_models.arch import StemLayer
from keras_models.training.distillation import Objective
from keras_models.training.recipe import DIGITS
from nas.cost.model import CostModel
from nas.cost.targets import Target
from nas.space import Patch
from nas.space.presets import SPACES
from nas.supernet import training as training_module
from nas.supernet.cluster import DistributionError
from nas.supernet.compiled import Steps
from nas.supernet.data import load_search_data
from nas.supernet.distribution import make_distribution

# A patch embedding behind a stem with batch normalization.
STEM = (StemLayer(3, 2, 4, batch_norm=True),)
SPACE = SPACES["digits_8"].replace(
    patches=(Patch(2, STEM),), embed_dim=(8, 16), depth=(1,), heads=(1, 2)
)
# Half of the steps are clipped: where all are, a sum of gradients is their mean.
RECIPE = dataclasses.replace(
    DIGITS, epochs=2, batch_size=24, warmup_epochs=0, clip_norm=1.2, ema_momentum=0.5
)
LOCAL = {"single": "none", "mirrored": "mirrored"}  # name of a run -> its distribution


def digits():
    data = load_search_data("digits", "", SPACE)
    small = dataclasses.replace(
        data.dataset, train=data.dataset.train.take(96), validation=data.dataset.validation.take(24)
    )
    return dataclasses.replace(data, dataset=small)


DATA = digits()  # once for all processes


def run(kind, dump, out):
    distribution, made = make_distribution(kind), []

    class Kept(training_module.Training):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    training_module.Training = Kept
    job = training_module.SupernetJob(
        SPACE, CostModel(Target()), RECIPE, Objective(0.1, 0.0), False, 3, str(out)
    )
    try:
        report = training_module.train(job, DATA, "command", True, distribution)
    except DistributionError as error:
        sys.exit(f"ended: {error}")
    training = made[0]
    arrays = {f"weight{i}": np.asarray(v) for i, v in enumerate(training.net.weights)}
    for i, variable in enumerate(training.optimizer.variables):
        value = variable.value
        for copy, each in enumerate(getattr(value, "values", (value,))):
            arrays[f"slot{i}.{copy}"] = each.numpy()
    np.savez(dump, compilations=report["compilations"], steps=report["steps"], **arrays)


def local(folder, name):
    if LOCAL[name] == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, halves)
    (folder / name).mkdir()
    run(LOCAL[name], folder / f"{name}.npz", folder / name)


def worker(folder, name, out, cluster, kill):
    """One of several; with `kill` it dies, as a machine that loses power, before that step."""
    os.environ["TF_CONFIG"] = json.dumps(cluster)
    original, taken = Steps.train, []

    def deadly(self, *arguments):
        taken.append(1)
        if len(taken) == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *arguments)

    with mock.patch.object(Steps, "train", deadly):
        run("multi_worker", folder / f"{name}.npz", folder / out)


def forked(folder, name, function, *arguments):
    """Process number of a child that runs the function, and then ends as a program does."""
    number = os.fork()
    if number:
        return number
    log = os.open(folder / f"{name}.log", os.O_CREAT | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    # What is computed counts here, not how fast.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    function(folder, name, *arguments)
    sys.exit()


def ended(number):
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def clusters():
    """TF_CONFIG of two workers on free loopback ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for each in sockets:
        each.close()
    return [
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}} for i in (0, 1)
    ]


def two_workers(folder, names, kills=(None, None)):
    """Exit codes of two that write in `chief` and `other`."""
    numbers = [
        forked(folder, name, worker, out, cluster, kill)
        for name, out, cluster, kill in zip(
            names, ("chief", "other"), clusters(), kills, strict=True
        )
    ]
    return [ended(number) for number in numbers]


def main():
    folder = pathlib.Path(sys.argv[1])
    codes = {name: ended(forked(folder, name, local)) for name in LOCAL}
    if sys.argv[2:] == ["local"]:
        (folder / "ended.json").write_text(json.dumps({"codes": codes, "left": []}))
        return
    for out in ("chief", "other"):
        (folder / out).mkdir()
    codes["chief_alone"], codes["killed"] = two_workers(
        folder, ("chief_alone", "killed"), (None, 6)
    )
    left = sorted(os.listdir(folder / "chief"))
    codes["chief"], codes["other"] = two_workers(folder, ("chief", "other"))
    (folder / "ended.json").write_text(json.dumps({"codes": codes, "left": left}))


main()
