# SPDX-License-Identifier: Apache-2.0
"""What int8 costs a network with random weights, on real images: SQNR of the logits against float.

    python -m benchmarks.accuracy --images=FOLDER --json=docs/results/accuracy_vit_t_240.json

Compares the plain file in LiteRT with the fused ones, int8 and int16 residual stream, in the host
library, for each choice of activation ranges. Calibration images and test images are different
ones, drawn together with --seed. Random weights have no accuracy; the ratio says how much of the
signal arrives.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_record import (
    TARGET_INT8_GAIN_DB,
    TARGET_INT16_DB,
    Images,
    Recorded,
    fused,
    recorded,
    run_file,
    table,
    write_json,
)
from converter.quantize.calibration import METHODS, RangeChoice, choose_ranges
from converter.quantize.ptq import calibrate, quantize_calibrated
from keras_models.datasets import load_images
from keras_models.load import resolve_arch, resolve_model
from tflm_vit import flags
from tflm_vit.files import expect_writable
from tflm_vit.run import run
from tflm_vit.stderr import captured_stderr

FLAGS = flags.FlagSet("accuracy", __doc__)
_NETWORK = flags.network(FLAGS, default="vit_t_240")
_WEIGHTS = flags.weights(FLAGS, "random")
_SEED = flags.seed(FLAGS, "Of the weights and of the draw of images.", 1)
_IMAGES = flags.images(FLAGS, required=True)
_COUNT = flags.count(FLAGS, "Number of test images.", 16, 1)
_CALIBRATION_COUNT = flags.calibration_count(FLAGS, 16)
_CALIBRATIONS = FLAGS.words("calibrations", METHODS, "Choices of ranges to compare.")
_THREADS = flags.threads(FLAGS)
_JSON = flags.json(FLAGS)


@dataclasses.dataclass(frozen=True)
class Variant:
    """One file: its size, and how near its logits are to the float model's.

    `agreement` is the share of images whose largest logit is the same as in float, 0..1.
    """

    name: str
    runtime: str
    calibration: str
    model_bytes: int
    sqnr_db: float
    agreement: float


@dataclasses.dataclass(frozen=True)
class Result:
    """The comparison.

    Attributes:
      variants: with the first choice of ranges: plain, int8 and int16 residual stream.
      narrower: the same three for each other choice.
    """

    recorded: Recorded
    model: str
    weights: str
    seed: int
    images: int
    calibration_images: int
    variants: tuple[Variant, ...]
    narrower: tuple[Variant, ...]

    def text(self) -> str:
        rows = [
            (
                v.name,
                v.runtime,
                v.calibration,
                f"{v.sqnr_db:.1f}",
                f"{100 * v.agreement:.0f}",
                f"{v.model_bytes:,}",
            )
            for v in (*self.variants, *self.narrower)
        ]
        return table(("file", "runtime", "ranges", "SQNR dB", "= float %", "bytes"), rows)


def _variants(
    plain: bytes, calibration: str, data: Images, logits: NDArray[np.float32]
) -> list[Variant]:
    files = (
        ("plain int8", "litert", plain),
        ("fused, int8 residual", "host", fused(plain, 8)),
        ("fused, int16 residual", "host", fused(plain, 16)),
    )
    result = []
    for name, runtime, content in files:
        run = run_file(name, runtime, content, data, logits, _THREADS.value)
        assert run.float_sqnr_db is not None
        assert run.float_agreement is not None
        result.append(
            Variant(
                name, runtime, calibration, len(content), run.float_sqnr_db, run.float_agreement
            )
        )
    return result


def _choices() -> list[RangeChoice]:
    if not _CALIBRATIONS.value:
        raise ValueError(f"--calibrations: got none, expected some of {','.join(METHODS)}")
    return [RangeChoice(method) for method in _CALIBRATIONS.value]


def _run() -> Result:
    expect_writable(_JSON.value)
    choices = _choices()
    arch = resolve_arch(_NETWORK.value)
    count = _COUNT.value + _CALIBRATION_COUNT.value
    images = load_images(_IMAGES.value, count, arch.image_size, arch.channels, _SEED.value)
    with captured_stderr():  # TensorFlow talks while it is imported
        _, model = resolve_model(_NETWORK.value, _WEIGHTS.value, _SEED.value)
    test = images[_CALIBRATION_COUNT.value :]
    data = Images(test, np.zeros(len(test), np.int32))
    logits = np.asarray(model.predict_on_batch(test), np.float32)
    extremes = calibrate(model, arch, images[: _CALIBRATION_COUNT.value], progress=True)
    variants: list[Variant] = []
    for choice in choices:
        ranged = choose_ranges(extremes, images[: _CALIBRATION_COUNT.value], choice)
        variants += _variants(quantize_calibrated(ranged), str(choice), data, logits)
    return Result(
        recorded("benchmarks.accuracy"),
        arch.name,
        _WEIGHTS.value,
        _SEED.value,
        len(test),
        _CALIBRATION_COUNT.value,
        tuple(variants[:3]),
        tuple(variants[3:]),
    )


def _body() -> None:
    result = _run()
    if _JSON.value:
        write_json(_JSON.value, result)
    print(result.text())
    plain, int8, int16 = (variant.sqnr_db for variant in result.variants)
    print(f"int8 residual: {int8 - plain:+.1f} dB (target {TARGET_INT8_GAIN_DB:+.1f} dB)")
    print(f"int16 residual: {int16:.1f} dB (target {TARGET_INT16_DB:.1f} dB)")
    if int8 - plain < TARGET_INT8_GAIN_DB or int16 < TARGET_INT16_DB:
        sys.exit("accuracy: a target is missed")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
