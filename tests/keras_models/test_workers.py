# SPDX-License-Identifier: Apache-2.0
"""Batches that other processes make, and what a long training is said to take."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_models.datasets import DatasetError
from keras_models.datasets.folder import load_folder
from keras_models.load import resolve_network
from keras_models.presets import get_preset
from keras_models.tasks import TaskError, task_named
from keras_models.training.batches import TrainBatches
from keras_models.training.fit import TrainJob, expect_task
from keras_models.training.forecast import LONG, Forecast
from keras_models.training.recipe import recipe_for

RECIPE = recipe_for("folder", batch_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of 32 pictures of noise for training, of 4 for validation."""
    place, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, count in (("train", 32), ("val", 4)):
        for name in ("a", "b"):
            (place / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (20, 24, 3), np.uint8)
                Image.fromarray(pixels).save(place / split / name / f"{number:03}.png")
    return place


def test_workers_make_the_batches_that_the_training_would(folder):
    """To the bit, in an epoch that is gone on with, and in the next one."""
    data = load_folder(str(folder), 16)
    alone = TrainBatches(data.train, 2, RECIPE, 5, 3)
    shared = TrainBatches(data.train, 2, RECIPE, 5, 3, workers=2)
    assert len(shared) == len(alone) == 7  # a tenth is the validation's
    try:
        for _ in range(2):
            for index in (2, 3, 4, 5, 6):
                for a, b in zip(alone[index], shared[index], strict=True):
                    np.testing.assert_array_equal(a, b)
            alone.on_epoch_end()
            shared.on_epoch_end()
        for process in shared._processes._pool._processes.values():
            os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(DatasetError, match="a worker that makes batches died"):
            [shared[index] for index in range(len(shared))]
    finally:
        shared.close()


KILLED = """
import sys, time
from keras_models.datasets.folder import load_folder
from keras_models.training.making import BatchMaker
from keras_models.training.recipe import recipe_for
from keras_models.training.workers import BatchWorkers

if __name__ == "__main__":
    maker = BatchMaker(load_folder(sys.argv[1], 16).train, 2, recipe_for("x", batch_size=8), 0)
    workers = BatchWorkers(maker, 1)
    workers.get(0, 0)
    print(*workers._pool._processes, flush=True)
    time.sleep(600)
"""


def test_workers_end_with_a_training_that_is_killed(folder, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, script, folder], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as training:  # fmt: skip
        worker = int(training.stdout.readline())
        training.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_file_that_a_worker_cannot_read_is_named(folder):
    data = load_folder(str(folder), 16)
    damaged = Path(data.train.source._paths[int(data.train.indices[0])])
    content = damaged.read_bytes()
    shared = TrainBatches(data.train, 2, RECIPE, 0, 0, workers=1)
    damaged.write_bytes(b"nothing")
    try:
        with pytest.raises(DatasetError, match=f"{damaged.name}: not an image"):
            [shared[index] for index in range(len(shared))]
    finally:
        damaged.write_bytes(content)
        shared.close()


def test_a_forecast_is_a_sum_by_hand():
    found = Forecast(1_250_000_000, 1_280_000, 300, 0.004, 2)
    assert found.operations == pytest.approx(6 * 1.25e9 * 1.28e6 * 300)
    assert found.gpu_hours == pytest.approx(8.0)
    assert found.data_hours == pytest.approx(0.002 * 1.28e6 * 300 / 3600)
    assert "8.0 GPU-hours" in found.text()
    assert "213.3 hours with 2 workers" in found.text()
    digits = Forecast(get_preset("vit_digits").macs, 1_078, 80, 0.0, 0)
    assert not digits.long
    assert digits.operations < LONG


def test_a_dense_task_has_no_workers(tmp_path):
    job = TrainJob(
        resolve_network("depth_96"), recipe_for("depth_96"), "scenes", "", 0, str(tmp_path), 1,
        False, task=task_named("depth"), workers=2,
    )  # fmt: skip
    with pytest.raises(TaskError, match="leave --workers out"):
        expect_task(job)
