# SPDX-License-Identifier: Apache-2.0
"""What weights of 4 bits cost a network, by rounding: SQNR, flash, instructions, accuracy.

    python -m benchmarks.weight_bits --model=hybrid_32.tflite --dataset=image_folder \
        --data_dir=cifar10 --flash=360000 --json=docs/results/weight_bits.json
    python -m benchmarks.weight_bits --model=vit_t_240.tflite --json=docs/results/weight_bits.json

Of a plain int8 file. Without a data set the weights are rounded against smooth random images, and
no accuracy is measured. With --flash one more row has 4 bits where these bytes of
constants need it. Instructions are one inference on the emulated STM32F746G-DISCO. A record keeps
what it has of other files.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_record import Recorded, paired_loss, recorded, run_file, table
from benchmarks.networks import quantized_image, synthetic_images
from boards import get_board
from converter.contract import quantized
from converter.fuse import fuse_model
from converter.plan.model import plan_model
from converter.tflite import parse, read_model
from converter.weight_bits.fused import image_bytes, round_file
from converter.weight_bits.pipeline import RoundingMethod, WeightBitsReport
from converter.weight_bits.wanted import WeightBits
from firmware.emulator.emulator import Emulator
from firmware.model import build_model
from keras_models.datasets import DATASETS, Dataset, load_dataset
from keras_models.tasks.accuracy import predictions
from tflm_vit import flags
from tflm_vit.files import expect_writable
from tflm_vit.files import write_json as write_record
from tflm_vit.run import run

FLAGS = flags.FlagSet("weight_bits", __doc__)
_MODEL = flags.model(FLAGS, "Plain int8 .tflite of one square image.")
_DATASET = flags.dataset(FLAGS, DATASETS, "Of the images; without it no accuracy is measured.")
_DATA_DIR = flags.data_dir(FLAGS)
_COUNT = flags.count(FLAGS, "Number of test images, drawn with --seed; 0: all.")
_CALIBRATION_COUNT = flags.calibration_count(FLAGS)
_SEED = flags.seed(FLAGS, "Of the images.")
_FLASH = flags.flash(FLAGS)
_STREAMED = flags.streamed(FLAGS)
_THREADS = flags.threads(FLAGS)
_JSON = flags.json(FLAGS)

EIGHT = "8 bits"
SYNTHETIC = 24  # images, where there is no data set
BOARD = "stm32f746g_disco"


@dataclasses.dataclass(frozen=True)
class Figures:
    """One file.

    Attributes:
      name: bits and rounding.
      layers: that have 4 bits.
      sqnr_db: of the float network's outputs against those with weights of 8 bits; null for 8.
      constant_bytes: in an image of the compiled runtime.
      file_bytes: of the fused file.
      instructions: of one inference.
      top1: accuracy, null without images; loss, loss_low, loss_high: against 8 bits, with the 95 %
        interval of the paired difference.
    """

    name: str
    layers: int
    sqnr_db: float | None
    constant_bytes: int
    file_bytes: int
    instructions: int
    top1: float | None = None
    loss: float | None = None
    loss_low: float | None = None
    loss_high: float | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """All roundings of a network.

    Attributes:
      rounded_against: images.
      images: of the accuracy.
    """

    recorded: Recorded
    rounded_against: int
    images: int
    seed: int
    figures: tuple[Figures, ...]

    def text(self) -> str:
        """For people."""
        head = ("weights", "layers", "SQNR dB", "constants B", "instructions", "top-1 %", "loss")
        rows = [
            (
                f.name,
                f"{f.layers}",
                "-" if f.sqnr_db is None else f"{f.sqnr_db:.1f}",
                f"{f.constant_bytes:,}",
                f"{f.instructions:,}",
                "-" if f.top1 is None else f"{100 * f.top1:.2f}",
                "-" if f.loss is None else f"{100 * f.loss:+.2f}",
            )
            for f in self.figures
        ]
        return table(head, rows)


def _probes(plain: bytes, data: Dataset | None) -> list[list[NDArray[Any]]]:
    """Training images as the network's input; without a data set smooth random ones."""
    graph = parse(plain).graph
    (x,) = (graph.tensors[i] for i in graph.inputs)
    if data is None:
        _, side, _, channels = x.shape
        values = synthetic_images(SYNTHETIC, side, channels, _SEED.value)
    else:
        images, _ = data.train.draw(_CALIBRATION_COUNT.value, _SEED.value).load(slice(None))
        values = images.astype(np.float32) / 127.5 - 1.0
    return [[quantized(v[None], x.scale, x.zero_point, x.dtype)] for v in values]


def _instructions(fused: bytes) -> int:
    """Of one inference."""
    board = get_board(BOARD)
    with tempfile.TemporaryDirectory() as work:
        elf = Path(work) / "firmware.elf"
        build_model(fused, board, elf)
        emulator = Emulator(board, elf)
    return emulator.classify(quantized_image(emulator.model)).instructions


class _Measurement:
    """Of files of one network, the one of 8 bits first."""

    def __init__(self, data: Dataset | None) -> None:
        self._data = data
        self._first: NDArray[np.bool_] | None = None  # right answers of the first file
        self.images = 0

    def figures(self, name: str, plain: bytes, report: WeightBitsReport | None) -> Figures:
        """Of a plain file; its rounding's report."""
        content = plan_model(fuse_model(plain).model_bytes, streamed=_STREAMED.value).model_bytes
        layers = 0 if report is None else sum(x.bits == 4 for x in report.layers)
        db = None if report is None else report.sqnr_db
        sizes = image_bytes(content), len(content)
        figures = Figures(name, layers, db, *sizes, _instructions(content))
        if self._data is None:
            return figures
        test = self._data.test.take(_COUNT.value or len(self._data.test), _SEED.value)
        found = run_file(name, "host", content, test, None, _THREADS.value)
        right = predictions(found.logits) == test.labels()
        loss: tuple[float | None, ...] = (None, None, None)
        if self._first is None:
            self._first, self.images = right, len(right)
        else:
            loss = paired_loss(self._first, right)
        return dataclasses.replace(
            figures, top1=float(right.mean()), loss=loss[0], loss_low=loss[1], loss_high=loss[2]
        )


def _record(path: Path, result: Result) -> None:
    """Beside what the record has of other networks."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    name = Path(_MODEL.value).stem
    write_record(str(path), {**known, name: dataclasses.asdict(result)})


def _body() -> None:
    expect_writable(_JSON.value)
    plain = read_model(_MODEL.value)
    data: Dataset | None = None
    if _DATASET.value:
        _, side, _, channels = parse(plain).graph.tensors[parse(plain).graph.inputs[0]].shape
        data = load_dataset(_DATASET.value, _DATA_DIR.value, image_size=side, channels=channels)
    probes, measurement = _probes(plain, data), _Measurement(data)
    figures = [measurement.figures(EIGHT, plain, None)]
    methods = [(f"4 bits, {method.value}", WeightBits(4), method) for method in RoundingMethod]
    if _FLASH.value is not None:
        auto = WeightBits(0, _FLASH.value)
        methods.append((f"{_FLASH.value:,} B, network", auto, RoundingMethod.NETWORK))
    for name, wanted, method in methods:
        rounded = round_file(plain, wanted, probes=probes, method=method)
        figures.append(measurement.figures(name, rounded.model_bytes, rounded.report))
    made = recorded("benchmarks.weight_bits")
    result = Result(made, len(probes), measurement.images, _SEED.value, tuple(figures))
    print(result.text())
    if _JSON.value:
        _record(Path(_JSON.value), result)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
