# SPDX-License-Identifier: Apache-2.0
"""`python -m converter.sensitivity`: what quantizing each fused operator costs.

    python -m converter.sensitivity --network=build/run --residual_bits=16 \
        --json=sensitivity.json --png=sensitivity.png

Each operator is taken alone: everything else stays float and it runs in integers (*alone*), or
everything else runs in integers and it stays float (*left out*). The table shows what that does to
the logits and to the accuracy. A second table shows each linear layer's weights and output.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Sequence

from tqdm import tqdm

from converter.quantize.calibration import METHODS, RangeChoice
from converter.quantize.ptq import Floats, calibrate, quantize_calibrated
from converter.sensitivity.draw import draw
from converter.sensitivity.report import SensitivityReport
from converter.sensitivity.study import Labels, Study
from keras_models.datasets import DatasetError, load_dataset, load_images
from keras_models.load import resolve_arch, resolve_model
from keras_models.staged import Architecture
from keras_models.tasks import CLASSIFICATION, expect_inputs, expect_output
from keras_models.trained_data import chosen_dataset, expect_trained_classes
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command
from tflm_vit.stderr import captured_stderr

FLAGS = flags.FlagSet("sensitivity", __doc__)
_NETWORK = flags.network(FLAGS, required=True)
_WEIGHTS = flags.weights(FLAGS)
_SEED = flags.seed(FLAGS, "Of random weights and of the choice of images.")
_DATASET = flags.dataset(
    FLAGS,
    CLASSIFICATION.datasets,
    "Calibration and test images; without it what --network was trained on.",
)
_DATA_DIR = flags.data_dir(FLAGS)
_ALLOW = flags.allow_other_data(FLAGS)
_IMAGES = flags.images(FLAGS, "Without labels, instead of --dataset; no accuracies then.")
_COUNT = flags.count(FLAGS, "Number of images to measure on.", 100, 1)
_CALIBRATION_COUNT = flags.calibration_count(FLAGS)
_CALIBRATION = flags.calibration(FLAGS, METHODS)
_RESIDUAL_BITS = flags.residual_bits(FLAGS)
_JSON = flags.json(FLAGS)
_PNG = flags.png(FLAGS)


def _images(arch: Architecture) -> tuple[Floats, Floats, Labels | None]:
    """(calibration images, test images, labels of these): no image is in both."""
    count, extra = _COUNT.value, _CALIBRATION_COUNT.value
    if _IMAGES.value:
        images = load_images(
            _IMAGES.value, count + extra, arch.image_size, arch.channels, _SEED.value
        )
        return images[:extra], images[extra:], None
    name = chosen_dataset(
        _DATASET.value,
        _DATA_DIR.value,
        _NETWORK.value,
        _WEIGHTS.value,
        instead="--images=FOLDER",
    )
    data = load_dataset(name, _DATA_DIR.value, image_size=arch.image_size, channels=arch.channels)
    if data.num_classes != arch.num_classes:
        raise DatasetError(
            f"{data.name} has {data.num_classes} classes, the network {arch.num_classes}: give the "
            "data set that it was trained on, or --images=FOLDER for images without labels"
        )
    expect_trained_classes(_NETWORK.value, _WEIGHTS.value, data, _ALLOW.value)
    calibration, _ = data.train.draw(extra, _SEED.value).arrays()
    test, labels = data.test.draw(count, _SEED.value).arrays()
    return calibration, test, labels


def _run() -> SensitivityReport:
    expect_writable(_JSON.value, _PNG.value)
    arch = resolve_arch(_NETWORK.value)
    expect_output(arch.name, arch.output_shape, CLASSIFICATION)
    expect_inputs(arch.name, arch.input_shapes, CLASSIFICATION)
    calibration, images, labels = _images(arch)
    with captured_stderr():  # TensorFlow talks while it is imported
        _, model = resolve_model(_NETWORK.value, _WEIGHTS.value, _SEED.value)
    ranges = RangeChoice(_CALIBRATION.value)
    real = calibrate(model, arch, calibration, ranges=ranges, progress=True)
    study = Study(real, quantize_calibrated(real), int(_RESIDUAL_BITS.value))
    with tqdm(total=len(images), desc="sensitivity", unit="image") as bar:
        report = study.run(images, labels, bar.update)
    return dataclasses.replace(
        report,
        command=typed_command("converter.sensitivity"),
        tensorflow=importlib.metadata.version("tensorflow"),
        model=arch.name,
        calibration=str(ranges),
    )


def _body() -> None:
    report = _run()
    if _PNG.value:
        draw(report, _PNG.value)
    if _JSON.value:
        write_json(_JSON.value, dataclasses.asdict(report))
    print(report.text())


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
