# SPDX-License-Identifier: Apache-2.0
"""``python -m converter.evaluate --model=fused.tflite --dataset=digits --runtime=host,tflm``.

A .tflite does not say what it was trained on; with --network that directory does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from converter.contract import Contract, ContractError, contract_of
from converter.contract_flags import ContractFlags
from converter.evaluate import report
from converter.evaluate.evaluation import (
    ContractImages,
    Floats,
    ModelEnds,
    RuntimeResult,
    compare,
    ends_of,
    evaluate_runtime,
)
from converter.runtimes import (
    RUNTIME_NAMES,
    RUNTIMES,
    RuntimeUnavailableError,
    entry_of,
    open_runtime,
)
from converter.tflite import TfliteError, read_model
from keras_models.datasets import DATASETS, Dataset, DatasetError, Split, load_dataset
from keras_models.datasets.identity import expect_same_classes
from keras_models.load import resolve_arch, resolve_model
from keras_models.questions.examples import fed
from keras_models.trained_data import CHOICES, chosen_dataset, recorded_classes
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_atomic
from tflm_vit.run import run
from tflm_vit.stderr import captured_stderr

FLAGS = flags.FlagSet("evaluate", __doc__)
_MODEL = flags.model(FLAGS, "Int8 .tflite, plain or fused.")
_PLAIN = flags.plain_model(FLAGS, "Plain .tflite for litert; without it --model.")
_NETWORK = flags.network(
    FLAGS, "With trained weights, which the model was made from: its logits are compared."
)
_DATASET = flags.dataset(FLAGS, DATASETS, "Data set; without it what --network was trained on.")
_DATA_DIR = flags.data_dir(FLAGS)
_ALLOW = flags.allow_other_data(FLAGS)
_SPLIT = FLAGS.enum("split", "test", ("train", "validation", "test"), "Which images.")
_RUNTIME = flags.runtimes(
    FLAGS, ["host"], "Some of: " + "; ".join(f"{r.name} ({r.runs})" for r in RUNTIMES) + "."
)
_COUNT = flags.count(FLAGS, "Number of images, drawn with --seed; 0: all.")
_EMULATED_COUNT = flags.emulated_count(
    FLAGS, 0, "The emulated runtime sees only the first so many of them; 0: all."
)
_SEED = flags.seed(FLAGS, "Of the draw of --count images.")
_CONTRACT = ContractFlags(FLAGS)
_THREADS = flags.threads(FLAGS)
_JSON = flags.json(FLAGS)

_FLOAT_BATCH = 64


class _Bars:
    """A progress bar per runtime."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._name = ""

    def __call__(self, name: str, done: int, total: int) -> None:
        if name != self._name:
            self._name = name
            self._bar = tqdm(total=total, desc=name, unit="image")
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.close()


@dataclasses.dataclass(frozen=True)
class _File:
    """A model and where it was read from."""

    path: str
    content: bytes
    ends: ModelEnds
    contract: Contract

    @classmethod
    def read(cls, path: str) -> _File:
        content = read_model(path)
        try:
            ends = ends_of(content)
            return cls(path, content, ends, contract_of(content, _CONTRACT.given()))
        except (TfliteError, ContractError) as error:
            raise type(error)(f"{path}: {error}") from error


def _files() -> dict[str, _File]:
    """The file that each runtime will run."""
    if not _RUNTIME.value:
        raise RuntimeUnavailableError(
            f"--runtime: got none, expected some of {', '.join(RUNTIME_NAMES)}"
        )
    for name in _RUNTIME.value:
        entry_of(name)
    fused = _File.read(_MODEL.value)
    plain = _File.read(_PLAIN.value) if _PLAIN.value else fused
    return {name: plain if name == "litert" else fused for name in _RUNTIME.value}


def _dataset_name() -> str:
    if not _DATASET.value and not _NETWORK.value:
        raise DatasetError(
            f"no data set named, and a .tflite does not say one: give {CHOICES} or "
            "--network=DIR of the network before quantization"
        )
    return chosen_dataset(_DATASET.value, _DATA_DIR.value, _NETWORK.value)


def _check(file: _File, dataset: Dataset) -> None:
    """Refuses a file that the data set does not fit, before anything runs."""
    size, channels = dataset.image_size, dataset.channels
    if file.ends.input_shape != (size, size, channels):
        raise DatasetError(
            f"{file.path}: input {list(file.ends.input_shape)}, expected {[size, size, channels]}"
        )
    task = file.contract.task
    if dataset.name not in task.datasets:
        raise DatasetError(
            f"{file.path}: made for {task.name}, {dataset.name} is not; expected one of "
            f"{', '.join(task.datasets)}"
        )
    outputs = file.ends.output_shape[-1] if task.dense else file.ends.classes
    if outputs != dataset.num_classes:
        raise DatasetError(
            f"{file.path}: {outputs} outputs, but {dataset.name} has "
            f"{dataset.num_classes} classes; give the data set that the network was trained on"
        )


def _check_classes(files: dict[str, _File], dataset: Dataset) -> None:
    """Refuses a data set whose labels mean other classes than the file's or the network's."""
    allowed = _ALLOW.value
    for file in files.values():
        expect_same_classes(file.path, file.contract.class_names, dataset, allowed)
    if _NETWORK.value:
        names = recorded_classes(_NETWORK.value)
        expect_same_classes(f"--network={_NETWORK.value}", names, dataset, allowed)


def _dataset(files: dict[str, _File]) -> Dataset:
    first = next(iter(files.values()))
    height, width, channels = first.ends.input_shape
    if height != width:
        raise DatasetError(f"{first.path}: input {height} x {width}, data sets have square images")
    name = _dataset_name()
    dataset = load_dataset(name, _DATA_DIR.value, image_size=height, channels=channels)
    for file in files.values():
        _check(file, dataset)
    _check_classes(files, dataset)
    if _NETWORK.value:
        arch = resolve_arch(_NETWORK.value)
        got = (arch.image_size, arch.channels, arch.num_classes)
        expected = (height, channels, dataset.num_classes)
        if got != expected:
            raise DatasetError(
                f"--network={_NETWORK.value}: image size, channels, classes {got}, expected "
                f"{expected} as in {first.path}"
            )
    return dataset


def _split(dataset: Dataset) -> Split:
    split = dataset.split(_SPLIT.value)
    if _COUNT.value:
        split = split.take(_COUNT.value, _SEED.value)
    if not len(split):
        raise DatasetError(f"{dataset.name}: the {_SPLIT.value} split is empty")
    split.preload()  # an unreadable image is reported now
    return split


def _float_logits(split: Split, bars: _Bars) -> Floats | None:
    if not _NETWORK.value:
        return None
    with captured_stderr():  # TensorFlow talks while it is imported
        _, model = resolve_model(_NETWORK.value)
    parts: list[Floats] = []
    done = 0
    for images, _ in split.batches(_FLOAT_BATCH):
        inputs = fed(images, tuple(tuple(x.shape[1:]) for x in model.inputs))
        outputs = np.asarray(model.predict_on_batch(inputs), np.float32)
        parts.append(outputs.reshape(len(images), -1))
        done += len(images)
        bars("float", done, len(split))
    return np.concatenate(parts)


def _evaluate() -> report.Report:
    expect_writable(_JSON.value)
    files = _files()
    dataset = _dataset(files)
    split = _split(dataset)
    runtimes = [(n, open_runtime(n, file.content, _THREADS.value)) for n, file in files.items()]
    bars = _Bars()
    float_logits = _float_logits(split, bars)
    task = next(iter(files.values())).contract.task
    results: list[RuntimeResult] = []
    for name, runtime in runtimes:
        count = _EMULATED_COUNT.value if name == "emulated" else 0
        data = split.take(count) if count else split
        file = files[name]
        images = ContractImages(data, file.contract)
        results.append(evaluate_runtime(name, runtime, file.ends, images, float_logits, bars, task))
    float_scores = None
    if float_logits is not None:
        ends = next(iter(files.values())).ends
        float_scores = task.scores(ends.shaped(float_logits, task), split.labels())
    same_file = [r for r in results if files[r.name].path == _MODEL.value]
    return report.Report(
        _MODEL.value,
        dataset.name,
        _SPLIT.value,
        float_scores,
        tuple(results),
        compare(same_file),
    )


def _run() -> None:
    result = _evaluate()
    print(report.to_text(result))
    if _JSON.value:
        write_atomic(_JSON.value, report.to_json(result).encode())


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _run, argv)


if __name__ == "__main__":
    main()
