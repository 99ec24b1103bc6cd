# SPDX-License-Identifier: Apache-2.0
"""What int8 costs a trained network: accuracy on a whole test set, with confidence intervals.

    python -m benchmarks.accuracy_cifar --network=build/cifar --dataset=image_folder \
        --data_dir=cifar10 --json=docs/results/accuracy_cifar10.json

Float, the plain int8 file in LiteRT, and the fused ones in the host library: int8 and int16
residual stream, with and without quantization-aware training, and with weights of 4 bits; all from
the same trained weights. Any directory that `python -m keras_models.train` wrote will do.
Differences are paired: the same images are right or wrong in both networks, so their interval is
narrower than the two accuracies' own.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.accuracy_record import (
    Recorded,
    fused,
    paired_loss,
    recorded,
    run_file,
    small_weights,
    table,
    write_json,
)
from converter.quantize.calibration import METHODS, RangeChoice
from converter.quantize.ptq import Floats, quantize
from keras_models.arch import ArchConfig
from keras_models.datasets import Dataset, load_dataset
from keras_models.datasets.core import Split
from keras_models.load import resolve_arch, resolve_model
from keras_models.tasks import CLASSIFICATION
from keras_models.tasks.accuracy import classification, predictions, wilson_interval
from keras_models.trained_data import chosen_dataset
from tflm_vit import flags
from tflm_vit.files import expect_writable
from tflm_vit.run import run
from tflm_vit.stderr import captured_stderr

FLAGS = flags.FlagSet("accuracy_cifar", __doc__)
_NETWORK = flags.network(FLAGS, default="hybrid_32")
_DATASET = flags.dataset(
    FLAGS, CLASSIFICATION.datasets, "Data set; without it what --network was trained on."
)
_DATA_DIR = flags.data_dir(FLAGS)
_COUNT = flags.count(FLAGS, "Number of test images, drawn with --seed; 0: all.")
_SEED = flags.seed(FLAGS, "Of calibration images and of fine-tuning.")
_CALIBRATION_COUNT = flags.calibration_count(FLAGS, 128)
_CALIBRATION = flags.calibration(FLAGS, METHODS)
_QAT_EPOCHS = flags.qat_epochs(FLAGS, "Epochs of fine-tuning; 0: without.", 5, 0)
_QAT_RATE = flags.qat_learning_rate(FLAGS)
_QAT_BITS = FLAGS.words("qat_residual_bits", ["8", "16"], "One fine-tuning for each.")
_QAT_DIR = flags.qat_dir(FLAGS, "Where fine-tuning keeps checkpoints.")
_RESUME = flags.resume(FLAGS, "Go on from the checkpoints in --qat_dir.")
_THREADS = flags.threads(FLAGS)
_JSON = flags.json(FLAGS)


@dataclasses.dataclass(frozen=True)
class Score:
    """One network on the test images; fractions 0..1.

    Attributes:
      name, runtime: which file, and where it ran.
      top1, top5: accuracy.
      low, high: 95 % Wilson interval of top1.
      loss: float's top1 minus this one's; loss_low, loss_high: 95 % interval of the paired
        difference (normal approximation of McNemar's).
      agreement: share of images with float's prediction.
      sqnr_db: of the logits; null for a fine-tuned network, which is not meant to repeat them.
      seconds: of inference.
    """

    name: str
    runtime: str
    top1: float
    low: float
    high: float
    top5: float
    loss: float
    loss_low: float
    loss_high: float
    agreement: float
    sqnr_db: float | None
    seconds: float


@dataclasses.dataclass(frozen=True)
class Result:
    """All networks, from the same trained weights."""

    recorded: Recorded
    network: str
    dataset: str
    images: int
    calibration: str
    calibration_images: int
    qat_epochs: int
    qat_learning_rate: float
    qat_seconds: float
    seed: int
    scores: tuple[Score, ...]

    def text(self) -> str:
        rows = [
            (
                s.name,
                s.runtime,
                f"{100 * s.top1:.2f}",
                f"{100 * s.low:.2f}..{100 * s.high:.2f}",
                f"{100 * s.loss:+.2f}",
                f"{100 * s.loss_low:+.2f}..{100 * s.loss_high:+.2f}",
                f"{100 * s.agreement:.2f}",
                "-" if s.sqnr_db is None else f"{s.sqnr_db:.1f}",
                f"{s.seconds:.0f}",
            )
            for s in self.scores
        ]
        head = ("network", "runtime", "top-1 %", "95 %", "loss", "95 %", "= float %", "dB", "s")
        return table(head, rows)


def _float_logits(model: Any, split: Split) -> tuple[NDArray[np.float32], NDArray[Any], float]:
    parts, labels, seconds = [], [], 0.0
    with tqdm(total=len(split), desc="float", unit="image") as bar:
        for images, targets in split.batches(256):
            started = time.monotonic()
            parts.append(np.asarray(model.predict_on_batch(images), np.float32))
            seconds += time.monotonic() - started
            labels.append(targets)
            bar.update(len(images))
    return np.concatenate(parts), np.concatenate(labels), seconds


@dataclasses.dataclass(frozen=True, eq=False)
class _Reference:
    """The float network on the test images."""

    logits: NDArray[np.float32]
    labels: NDArray[Any]
    seconds: float

    @property
    def right(self) -> NDArray[np.bool_]:
        return predictions(self.logits) == self.labels

    def score(
        self, name: str, runtime: str, logits: NDArray[Any], seconds: float, sqnr: float | None
    ) -> Score:
        scores = classification(logits, self.labels)
        right = predictions(logits) == self.labels
        interval = wilson_interval(int(right.sum()), len(right))
        loss, low, high = paired_loss(self.right, right)
        return Score(
            name=name,
            runtime=runtime,
            top1=scores.top1,
            low=interval.low,
            high=interval.high,
            top5=scores.top5,
            loss=loss,
            loss_low=low,
            loss_high=high,
            agreement=float((predictions(logits) == predictions(self.logits)).mean()),
            sqnr_db=None if sqnr is None or math.isinf(sqnr) else sqnr,
            seconds=round(seconds, 1),
        )


def _qat_directory(bits: int) -> str | None:
    return os.path.join(_QAT_DIR.value, f"int{bits}") if _QAT_DIR.value else None


def _fine_tuned(
    model: Any, arch: Any, data: Dataset, calibration: Floats, bits: int
) -> tuple[bytes, float]:
    with captured_stderr():
        from converter.qat.train import QatRecipe, quantize_aware

    recipe = QatRecipe(
        epochs=_QAT_EPOCHS.value,
        learning_rate=_QAT_RATE.value,
        residual_bits=bits,
        seed=_SEED.value,
    )
    result = quantize_aware(
        model,
        arch,
        data,
        calibration,
        recipe,
        directory=_qat_directory(bits),
        resume=_RESUME.value,
        ranges=RangeChoice(_CALIBRATION.value),
        progress=True,
    )
    return result.plain, result.seconds


def _dataset(arch: ArchConfig) -> Dataset:
    """The data set, every file of it read: a bad one is reported before anything slow."""
    name = chosen_dataset(_DATASET.value, _DATA_DIR.value, _NETWORK.value)
    data = load_dataset(name, _DATA_DIR.value, image_size=arch.image_size, channels=arch.channels)
    if data.num_classes != arch.num_classes:
        raise ValueError(
            f"{data.name} has {data.num_classes} classes, the network {arch.num_classes}; give "
            "the data set that it was trained on"
        )
    for split in (data.train, data.validation, data.test):
        split.preload()
    return data


def _dataset_name(data: Dataset) -> str:
    """For the record: of a folder its own name, which says more than "image_folder"."""
    if data.name != "image_folder":
        return data.name
    return os.path.basename(os.path.abspath(_DATA_DIR.value))


def _run() -> Result:
    expect_writable(_JSON.value)
    bad = [bits for bits in _QAT_BITS.value if bits not in ("8", "16")]
    if bad:
        raise ValueError(f"--qat_residual_bits: got {bad[0]!r}, expected some of 8,16")
    data = _dataset(resolve_arch(_NETWORK.value))
    test = data.test.take(_COUNT.value, _SEED.value) if _COUNT.value else data.test
    calibration, _ = data.train.draw(_CALIBRATION_COUNT.value, _SEED.value).arrays()
    with captured_stderr():  # TensorFlow talks while it is imported
        arch, model = resolve_model(_NETWORK.value)
    reference = _Reference(*_float_logits(model, test))
    plain = quantize(
        model, arch, calibration, ranges=RangeChoice(_CALIBRATION.value), progress=True
    )
    files = [
        ("plain int8", "litert", plain, True),
        ("fused, int8 residual", "host", fused(plain, 8), True),
    ]
    # Next to convolutions that are not fused the stream stays as narrow as it is.
    if (wide := fused(plain, 16)) != files[-1][2]:
        files.append(("fused, int16 residual", "host", wide, True))
    small = small_weights(plain, calibration)
    files.append(("fused, weights of 4 bits", "host", fused(small, 8), True))
    seconds = 0.0
    for bits in (int(b) for b in _QAT_BITS.value) if _QAT_EPOCHS.value else ():
        tuned, spent = _fine_tuned(model, arch, data, calibration, bits)
        seconds += spent
        files.append((f"QAT, fused, int{bits} residual", "host", fused(tuned, bits), False))
    scores = [reference.score("float", "keras", reference.logits, reference.seconds, None)]
    for name, runtime, content, same in files:
        result = run_file(name, runtime, content, test, reference.logits, _THREADS.value)
        sqnr = result.float_sqnr_db if same else None
        scores.append(reference.score(name, runtime, result.logits, result.seconds, sqnr))
    return Result(
        recorded("benchmarks.accuracy_cifar"),
        arch.name,
        _dataset_name(data),
        len(test),
        _CALIBRATION.value,
        len(calibration),
        _QAT_EPOCHS.value,
        _QAT_RATE.value,
        round(seconds, 1),
        _SEED.value,
        tuple(scores),
    )


def _body() -> None:
    result = _run()
    if _JSON.value:
        write_json(_JSON.value, result)
        if _QAT_DIR.value and _QAT_EPOCHS.value:
            from converter.qat.train import discard_checkpoint

            for bits in _QAT_BITS.value:
                discard_checkpoint(_qat_directory(int(bits)))
    print(f"{result.network} on {result.images} test images of {result.dataset}")
    print(result.text())


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
