# SPDX-License-Identifier: Apache-2.0
"""``python -m converter.evaluate --model=fused.tflite --dataset=digits --runtime=host,tflm``.

A .tflite does not say what it was trained on; with --float_model that directory does.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from tqdm import tqdm

from converter.evaluate import metrics, report
from converter.evaluate.evaluation import (
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
from converter.tflite import TfliteError
from keras_models.datasets import DATASETS, Dataset, DatasetError, Split, load_dataset
from keras_models.load import load_trained, resolve_arch
from keras_models.trained_data import CHOICES, chosen_dataset
from tflm_vit.files import expect_writable, write_atomic
from tflm_vit.run import run
from tflm_vit.stderr import captured_stderr

_MODEL = flags.DEFINE_string("model", None, "Int8 .tflite, plain or fused.", required=True)
_PLAIN = flags.DEFINE_string("plain_model", "", "Plain .tflite for litert; default: --model.")
_DATASET = flags.DEFINE_enum(
    "dataset", None, DATASETS, "Data set; default: what --float_model was trained on."
)
_DATA_DIR = flags.DEFINE_string("data_dir", "", "Folder of the data set.")
_SPLIT = flags.DEFINE_enum("split", "test", ("train", "validation", "test"), "Which images.")
_RUNTIME = flags.DEFINE_list(
    "runtime", ["host"], "Some of: " + "; ".join(f"{r.name} ({r.runs})" for r in RUNTIMES)
)
_FLOAT = flags.DEFINE_string("float_model", "", "Trained directory of the float model.")
_LIMIT = flags.DEFINE_integer(
    "limit", 0, "Number of images, drawn with --seed; 0: all.", lower_bound=0
)
_EMULATED_LIMIT = flags.DEFINE_integer(
    "emulated_limit",
    0,
    "The emulated runtime sees only the first so many of them; 0: all.",
    lower_bound=0,
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the draw of --limit images.")
_THREADS = flags.DEFINE_integer(
    "threads", len(os.sched_getaffinity(0)), "Threads of litert and host.", lower_bound=1
)
_JSON = flags.DEFINE_string("json", "", "File for the whole report.")

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

    @classmethod
    def read(cls, path: str) -> _File:
        content = Path(path).read_bytes()
        try:
            return cls(path, content, ends_of(content))
        except TfliteError as error:
            raise TfliteError(f"{path}: {error}") from error


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
    if not _DATASET.value and not _FLOAT.value:
        raise DatasetError(
            f"no data set named, and a .tflite does not say one: give {CHOICES} or "
            "--float_model=DIR of the network before quantization"
        )
    return chosen_dataset(_DATASET.value, _DATA_DIR.value, _FLOAT.value)


def _check(file: _File, dataset: Dataset) -> None:
    """Refuses a file that the data set does not fit, before anything runs."""
    size, channels = dataset.image_size, dataset.channels
    if file.ends.input_shape != (size, size, channels):
        raise DatasetError(
            f"{file.path}: input {list(file.ends.input_shape)}, expected {[size, size, channels]}"
        )
    if file.ends.classes != dataset.num_classes:
        raise DatasetError(
            f"{file.path}: {file.ends.classes} outputs, but {dataset.name} has "
            f"{dataset.num_classes} classes; give the data set that the network was trained on"
        )


def _dataset(files: dict[str, _File]) -> Dataset:
    first = next(iter(files.values()))
    height, width, channels = first.ends.input_shape
    if height != width:
        raise DatasetError(f"{first.path}: input {height} x {width}, data sets have square images")
    name = _dataset_name()
    dataset = load_dataset(name, _DATA_DIR.value, image_size=height, channels=channels)
    for file in files.values():
        _check(file, dataset)
    if _FLOAT.value:
        arch = resolve_arch(_FLOAT.value)
        got = (arch.image_size, arch.channels, arch.num_classes)
        expected = (height, channels, dataset.num_classes)
        if got != expected:
            raise DatasetError(
                f"--float_model={_FLOAT.value}: image size, channels, classes {got}, expected "
                f"{expected} as in {first.path}"
            )
    return dataset


def _split(dataset: Dataset) -> Split:
    split = dataset.split(_SPLIT.value)
    if _LIMIT.value:
        split = split.take(_LIMIT.value, _SEED.value)
    if not len(split):
        raise DatasetError(f"{dataset.name}: the {_SPLIT.value} split is empty")
    split.preload()  # an unreadable image is reported now
    return split


def _float_logits(split: Split, bars: _Bars) -> Floats | None:
    if not _FLOAT.value:
        return None
    with captured_stderr():  # TensorFlow talks while it is imported
        _, model = load_trained(_FLOAT.value)
    parts: list[Floats] = []
    done = 0
    for images, _ in split.batches(_FLOAT_BATCH):
        parts.append(np.asarray(model.predict_on_batch(images), np.float32))
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
    results: list[RuntimeResult] = []
    for name, runtime in runtimes:
        count = _EMULATED_LIMIT.value if name == "emulated" else 0
        data = split.take(count) if count else split
        results.append(evaluate_runtime(name, runtime, files[name].ends, data, float_logits, bars))
    float_scores = None
    if float_logits is not None:
        float_scores = metrics.classification(float_logits, split.labels())
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


def main(argv: list[str]) -> None:
    run("evaluate", argv, _run, (RuntimeUnavailableError,))


if __name__ == "__main__":
    app.run(main)
