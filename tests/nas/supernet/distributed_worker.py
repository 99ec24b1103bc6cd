# SPDX-License-Identifier: Apache-2.0
"""One process of test_distribution.py: a few steps on digits, then everything it knows as .npz.

    distributed_worker.py DUMP OUT single|mirrored|multi_worker [STEP]

With STEP the process kills itself, as a machine that loses power, before that step of its run.
FAULT in the environment names a mistake of `FAULTS` that this process makes.
"""

import dataclasses
import os
import signal
import sys

import tensorflow as tf

KIND = sys.argv[3]
tf.config.threading.set_intra_op_parallelism_threads(1)
if KIND == "mirrored":
    cpu = tf.config.list_physical_devices("CPU")[0]
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, halves)

import numpy as np  # noqa: E402

from keras_models.arch import StemLayer  # noqa: E402
from keras_models.training.recipe import DIGITS  # noqa: E402
from nas.cost.model import CostModel  # noqa: E402
from nas.cost.targets import Target  # noqa: E402
from nas.space import Patch  # noqa: E402
from nas.space.presets import SPACES  # noqa: E402
from nas.supernet import training as training_module  # noqa: E402
from nas.supernet.cluster import DistributionError  # noqa: E402
from nas.supernet.compiled import Objective, Steps  # noqa: E402
from nas.supernet.data import load_search_data  # noqa: E402
from nas.supernet.distribution import Replicated, make_distribution  # noqa: E402
from nas.supernet.net import Supernet  # noqa: E402

# Two patch embeddings, one behind a stem with batch normalization: two compiled steps.
STEM = (StemLayer(3, 2, 4, batch_norm=True),)
SPACE = SPACES["digits_8"].replace(
    patches=(Patch(2, STEM), Patch(4)), embed_dim=(8, 16), depth=(1,), heads=(1, 2)
)
RECIPE = dataclasses.replace(
    DIGITS, epochs=2, batch_size=24, warmup_epochs=0, clip_norm=0.5, ema_momentum=0.5
)


def added(self, values):
    """Gradients are added, not averaged."""
    context = tf.distribute.get_replica_context()
    return list(context.all_reduce(tf.distribute.ReduceOp.SUM, values))


def first_share(self, values):
    """Every replica trains on the same part of the batch."""
    if values is None:
        return None
    part = tf.constant(values[: len(values) // self.replicas])
    return self.strategy.experimental_distribute_values_from_function(lambda context: part)


def own_statistics(space, seed, synchronized):
    """Batch normalization sees a replica's share only."""
    return Supernet(space, seed, False)


FAULTS = {
    "gradients added": (Replicated, "mean", added),
    "one share for all": (Replicated, "share", first_share),
    "clipped apart": (Replicated, "prepare", lambda self, optimizer: None),
    "own statistics": (training_module, "Supernet", own_statistics),
}


def digits():
    data = load_search_data("digits", "", SPACE)
    small = dataclasses.replace(
        data.dataset, train=data.dataset.train.take(96), validation=data.dataset.validation.take(24)
    )
    return dataclasses.replace(data, dataset=small)


def main():
    dump, out = sys.argv[1:3]
    if os.environ.get("FAULT"):
        setattr(*FAULTS[os.environ["FAULT"]])
    distribution = make_distribution("none" if KIND == "single" else KIND)
    made = []

    class Kept(training_module.Training):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    training_module.Training = Kept
    if len(sys.argv) > 4:
        original, taken = Steps.train, []

        def deadly(self, *arguments):
            taken.append(1)
            if len(taken) == int(sys.argv[4]):
                os.kill(os.getpid(), signal.SIGKILL)
            return original(self, *arguments)

        Steps.train = deadly
    job = training_module.SupernetJob(
        SPACE, CostModel(Target()), RECIPE, Objective(0.1, 0.0), False, 3, out
    )
    try:
        report = training_module.train(job, digits(), "command", True, distribution)
    except DistributionError as error:
        sys.exit(f"ended: {error}")
    training = made[0]
    arrays = {f"weight{i}": np.asarray(v) for i, v in enumerate(training.net.weights)}
    for i, variable in enumerate(training.optimizer.variables):
        value = variable.value
        for copy, each in enumerate(getattr(value, "values", (value,))):
            arrays[f"slot{i}.{copy}"] = each.numpy()
    np.savez(dump, compilations=report["compilations"], steps=report["steps"], **arrays)


main()
