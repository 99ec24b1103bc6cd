# SPDX-License-Identifier: Apache-2.0
"""A task's network in its forms: files of it, what they say, and the best answers without it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from converter.contract import Contract, contract_of, with_contract
from converter.evaluate.evaluation import (
    ContractImages,
    RuntimeResult,
    ends_of,
    evaluate_runtime,
)
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.quantize.ptq import quantize
from converter.runtimes import open_runtime
from converter.tflite import parse, serialize
from keras_models.datasets import Dataset, Split
from keras_models.questions.examples import fed
from keras_models.tasks import Task, TaskScores

CALIBRATION_PICTURES = 64
_NOTHING = 99.0  # below the logit of anything


def fused_forms(model: Any, arch: Any, data: Dataset, task: Task, seed: int) -> tuple[bytes, bytes]:
    """(plain, fused), both with their contract, calibrated on pictures drawn with the seed."""
    contract = Contract(
        arch.normalization, class_names=data.class_names, task=task, vocabulary=data.vocabulary
    )
    pixels, _ = data.train.draw(CALIBRATION_PICTURES, seed).load(slice(None))
    plain = quantize(model, arch, contract.real(pixels), progress=True)
    plain = serialize(with_contract(parse(plain), contract))
    return plain, plan_model(fuse_model(plain).model_bytes).model_bytes


def evaluated(name: str, content: bytes, split: Split, task: Task) -> RuntimeResult:
    """A file in a runtime over a split."""
    images = ContractImages(split, contract_of(content))
    with tqdm(total=len(split), desc=name, unit="picture") as bar:
        return evaluate_runtime(
            name,
            open_runtime(name, content, 1),
            ends_of(content),
            images,
            None,
            lambda _, done, total: bar.update(done - bar.n),
            task,
        )


def float_outputs(model: Any, arch: Any, images: ContractImages) -> NDArray[np.float32]:
    """What the Keras model says of all of them."""
    return np.concatenate(
        [model.predict_on_batch(fed(x, arch.input_shapes)) for x, _ in images.batches(64)]
    )


def tree_of(scores: TaskScores) -> dict[str, Any]:
    """Figures for a record, without the table of all pairs of classes."""
    return {key: value for key, value in scores.tree().items() if key != "confusion"}


# ---- without the picture -------------------------------------------------------------------------


def constant(task: Task, train: Split, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The one output (*shape) that is best for all training pictures."""
    wanted = _wanted(task, train, shape)
    if shape[-1] == 1:
        return np.full(shape, _depth_of(wanted.reshape(-1, 1))[0], np.float32)
    value = np.zeros(shape, np.float32)
    if task.boxes is not None:
        return value - _NOTHING
    value[..., int(wanted.reshape(-1, shape[-1]).sum(axis=0).argmax())] = 1.0
    return value


def by_place(task: Task, train: Split, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The output (*shape) of a dense task that is best for all training pictures at each pixel."""
    wanted = _wanted(task, train, shape)
    if shape[-1] == 1:
        return _depth_of(wanted.reshape(len(wanted), -1)).reshape(shape).astype(np.float32)
    found: NDArray[np.float32] = wanted.mean(axis=0, dtype=np.float32)
    return found


def _wanted(task: Task, train: Split, shape: tuple[int, ...]) -> NDArray[Any]:
    _, targets = train.load(slice(None, None, 4))
    return task.wanted(targets, shape)


def _depth_of(logs: NDArray[Any]) -> NDArray[np.float64]:
    """Of each column of logarithms of depths the one of the least AbsRel: a median with weights of
    1 / depth."""
    logs = np.sort(logs.astype(np.float64), axis=0)
    weight = np.cumsum(np.exp(-logs), axis=0)
    place = (weight < weight[-1] / 2).sum(axis=0)
    found: NDArray[np.float64] = np.take_along_axis(logs, place[None], axis=0)[0]
    return found
