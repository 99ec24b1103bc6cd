# SPDX-License-Identifier: Apache-2.0
"""What weights of 4 bits cost a network, by rounding: SQNR, flash, instructions, accuracy.

    python -m benchmarks.weight_bits --model=plain.tflite --dataset=image_folder \
        --data_dir=cifar10 --json=docs/results/weight_bits_cifar10.json
    python -m benchmarks.weight_bits --model=vit_t_240.tflite --json=docs/results/weight_bits_t.json

Of a plain int8 file. Without a data set the weights are rounded against numbers of the input's
range, and no accuracy is measured. Instructions are the cost model's, not the emulator's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_record import Recorded, paired_loss, recorded, run_file, table, write_json
from converter.contract import quantized
from converter.fuse import fuse_model
from converter.fused_ops import decoded_all
from converter.plan.model import plan_model
from converter.tflite import parse, read_model
from converter.weight_bits.fused import WeightBits, constant_bytes, round_file
from converter.weight_bits.pipeline import RoundingMethod
from keras_models.datasets import DATASETS, Dataset, load_dataset
from keras_models.tasks.accuracy import predictions
from tflm_custom_ops.ops import operator_of
from tflm_vit import flags
from tflm_vit.files import expect_writable
from tflm_vit.run import run

FLAGS = flags.FlagSet("weight_bits", __doc__)
_MODEL = flags.model(FLAGS, "Plain int8 .tflite of one square image.")
_DATASET = flags.dataset(FLAGS, DATASETS, "Of the images; without it no accuracy is measured.")
_DATA_DIR = flags.data_dir(FLAGS)
_COUNT = flags.count(FLAGS, "Number of test images, drawn with --seed; 0: all.")
_CALIBRATION_COUNT = flags.calibration_count(FLAGS)
_SEED = flags.seed(FLAGS, "Of the images.")
_STREAMED = flags.streamed(FLAGS)
_THREADS = flags.threads(FLAGS)
_JSON = flags.json(FLAGS)

EIGHT = "8 bits"


@dataclasses.dataclass(frozen=True)
class Figures:
    """One file.

    Attributes:
      name: bits and rounding.
      sqnr_db: of the float network's outputs against those with weights of 8 bits; null for 8.
      constant_bytes, file_bytes: of the fused file.
      instructions: of its fused operators, by the cost model.
      top1: accuracy, null without images; loss, loss_low, loss_high: against 8 bits, with the 95 %
        interval of the paired difference.
    """

    name: str
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
    """All roundings of a network."""

    recorded: Recorded
    images: int
    seed: int
    figures: tuple[Figures, ...]

    def text(self) -> str:
        """For people."""
        head = ("weights", "SQNR dB", "constants B", "instructions", "top-1 %", "loss")
        rows = [
            (
                f.name,
                "-" if f.sqnr_db is None else f"{f.sqnr_db:.1f}",
                f"{f.constant_bytes:,}",
                f"{f.instructions:,}",
                "-" if f.top1 is None else f"{100 * f.top1:.2f}",
                "-" if f.loss is None else f"{100 * f.loss:+.2f}",
            )
            for f in self.figures
        ]
        return table(head, rows)


def _probes(plain: bytes, data: Dataset | None) -> list[list[NDArray[Any]]] | None:
    """Training images as the network's input."""
    if data is None:
        return None
    graph = parse(plain).graph
    (x,) = (graph.tensors[i] for i in graph.inputs)
    images, _ = data.train.draw(_CALIBRATION_COUNT.value, _SEED.value).load(slice(None))
    values = images.astype(np.float32) / 127.5 - 1.0
    return [[quantized(v[None], x.scale, x.zero_point, x.dtype)] for v in values]


def _measured(
    name: str, plain: bytes, db: float | None, data: Dataset | None, right: list[NDArray[np.bool_]]
) -> Figures:
    content = plan_model(fuse_model(plain).model_bytes, streamed=_STREAMED.value).model_bytes
    graph = parse(content).graph
    ops = [op for op in decoded_all(graph) if op is not None]
    instructions = sum(operator_of(op).schedule_cost.instructions for op in ops)
    figures = Figures(name, db, constant_bytes(graph), len(content), round(instructions))
    if data is None:
        return figures
    test = data.test.take(_COUNT.value or len(data.test), _SEED.value)
    found = run_file(name, "host", content, test, None, _THREADS.value)
    right.append(predictions(found.logits) == test.labels())
    loss = (None, None, None) if len(right) == 1 else paired_loss(right[0], right[-1])
    return dataclasses.replace(
        figures, top1=float(right[-1].mean()), loss=loss[0], loss_low=loss[1], loss_high=loss[2]
    )


def _body() -> None:
    expect_writable(_JSON.value)
    plain = read_model(_MODEL.value)
    data: Dataset | None = None
    if _DATASET.value:
        _, side, _, channels = parse(plain).graph.tensors[parse(plain).graph.inputs[0]].shape
        data = load_dataset(_DATASET.value, _DATA_DIR.value, image_size=side, channels=channels)
    probes, right = _probes(plain, data), list[NDArray[np.bool_]]()
    figures = [_measured(EIGHT, plain, None, data, right)]
    for method in RoundingMethod:
        rounded = round_file(plain, WeightBits(4), probes=probes, method=method)
        name = f"4 bits, {method.value}"
        figures.append(_measured(name, rounded.model_bytes, rounded.report.sqnr_db, data, right))
    images = len(right[0]) if right else 0
    result = Result(recorded("benchmarks.weight_bits"), images, _SEED.value, tuple(figures))
    print(result.text())
    if _JSON.value:
        write_json(_JSON.value, result)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
