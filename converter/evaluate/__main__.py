# SPDX-License-Identifier: Apache-2.0
"""``python -m converter.evaluate --model=fused.tflite --dataset=digits --runtime=host,tflm``."""

from __future__ import annotations

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
from converter.evaluate.runtimes import (
    RUNTIMES,
    RuntimeUnavailableError,
    create_runtime,
    entry_of,
)
from keras_models.command import expect_writable, run, write_atomic
from keras_models.datasets import DATASETS, DatasetError, Split, load_dataset

_MODEL = flags.DEFINE_string("model", None, "Int8 .tflite, plain or fused.", required=True)
_PLAIN = flags.DEFINE_string("plain_model", "", "Plain .tflite for litert; default: --model.")
_DATASET = flags.DEFINE_enum("dataset", "digits", DATASETS, "Data set.")
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


def _split(ends: ModelEnds) -> Split:
    height, width, channels = ends.input_shape
    if height != width:
        raise DatasetError(f"model input: got {height} x {width}, data sets have square images")
    dataset = load_dataset(_DATASET.value, _DATA_DIR.value, image_size=height, channels=channels)
    split = dataset.split(_SPLIT.value)
    if _LIMIT.value:
        split = split.take(_LIMIT.value, _SEED.value)
    if not len(split):
        raise DatasetError(f"{_DATASET.value}: the {_SPLIT.value} split is empty")
    return split


def _float_logits(split: Split, bars: _Bars) -> Floats | None:
    if not _FLOAT.value:
        return None
    from keras_models.load import load_trained

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
    for name in _RUNTIME.value:
        entry_of(name)
    fused = Path(_MODEL.value).read_bytes()
    plain = Path(_PLAIN.value).read_bytes() if _PLAIN.value else fused
    files = {name: plain if name == "litert" else fused for name in _RUNTIME.value}
    ends = {name: ends_of(content) for name, content in files.items()}
    runtimes = [(n, create_runtime(n, files[n], _THREADS.value)) for n in files]
    split = _split(next(iter(ends.values())))
    bars = _Bars()
    float_logits = _float_logits(split, bars)
    results: list[RuntimeResult] = []
    for name, runtime in runtimes:
        count = _EMULATED_LIMIT.value if name == "emulated" else 0
        data = split.take(count) if count else split
        results.append(evaluate_runtime(name, runtime, ends[name], data, float_logits, bars))
    float_scores = None
    if float_logits is not None:
        float_scores = metrics.classification(float_logits, split.labels())
    same_file = [r for r in results if files[r.name] == fused]
    return report.Report(
        _MODEL.value,
        _DATASET.value,
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
