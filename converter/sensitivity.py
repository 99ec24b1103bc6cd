# SPDX-License-Identifier: Apache-2.0
"""`python -m converter.sensitivity`: what quantizing each fused operator costs.

    python -m converter.sensitivity --model=build/run --residual_bits=16 \
        --json=sensitivity.json --png=sensitivity.png

Each operator is taken alone: everything else stays float and it runs in integers (*alone*), or
everything else runs in integers and it stays float (*left out*). The table shows what that does to
the logits and to the accuracy. A second table shows each linear layer's weights and output.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
from collections.abc import Sequence

from absl import app, flags
from tqdm import tqdm

from converter.calibration import METHODS, RangeChoice
from converter.fuse.pipeline import RESIDUAL_BITS
from converter.ptq import Floats, calibrate, quantize_calibrated
from converter.sensitivity_draw import draw
from converter.sensitivity_run import Labels, SensitivityReport, Study
from keras_models.arch import ArchConfig
from keras_models.datasets import DATASETS, DatasetError, load_dataset, load_images
from keras_models.load import resolve_arch, resolve_model
from keras_models.trained_data import chosen_dataset
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command
from tflm_vit.stderr import captured_stderr

_MODEL = flags.DEFINE_string("model", None, "Trained directory, JSON or preset.", required=True)
_WEIGHTS = flags.DEFINE_string("weights", "trained", "trained, random, or a .weights.h5 file.")
_SEED = flags.DEFINE_integer("seed", 0, "Of random weights and of the choice of images.")
_DATASET = flags.DEFINE_enum(
    "dataset", None, DATASETS, "Calibration and test images; default: what it was trained on."
)
_DATA_DIR = flags.DEFINE_string("data_dir", "", "Folder of the data set.")
_IMAGES_DIR = flags.DEFINE_string(
    "images_dir", "", "Images without labels instead of --dataset; no accuracies then."
)
_IMAGES = flags.DEFINE_integer("images", 100, "Images to measure on.", lower_bound=1)
_CALIBRATION_IMAGES = flags.DEFINE_integer("calibration_images", 64, "Others.", lower_bound=1)
_CALIBRATION = flags.DEFINE_enum("calibration", "minmax", METHODS, "As in converter.quantize.")
_RESIDUAL_BITS = flags.DEFINE_enum(
    "residual_bits", "8", [str(b) for b in RESIDUAL_BITS], "Type of the residual stream."
)
_JSON = flags.DEFINE_string("json", None, "Where the report goes as JSON.")
_PNG = flags.DEFINE_string("png", None, "Where the chart goes.")


def _images(arch: ArchConfig) -> tuple[Floats, Floats, Labels | None]:
    """(calibration images, test images, labels of these): no image is in both."""
    count, extra = _IMAGES.value, _CALIBRATION_IMAGES.value
    if _IMAGES_DIR.value:
        images = load_images(
            _IMAGES_DIR.value, count + extra, arch.image_size, arch.channels, _SEED.value
        )
        return images[:extra], images[extra:], None
    name = chosen_dataset(
        _DATASET.value,
        _DATA_DIR.value,
        _MODEL.value,
        _WEIGHTS.value,
        instead="--images_dir=FOLDER",
    )
    data = load_dataset(name, _DATA_DIR.value, image_size=arch.image_size, channels=arch.channels)
    if data.num_classes != arch.num_classes:
        raise DatasetError(
            f"{data.name} has {data.num_classes} classes, the network {arch.num_classes}: give the "
            "data set that it was trained on, or --images_dir=FOLDER for images without labels"
        )
    calibration, _ = data.train.draw(extra, _SEED.value).arrays()
    test, labels = data.test.draw(count, _SEED.value).arrays()
    return calibration, test, labels


def _run() -> SensitivityReport:
    expect_writable(_JSON.value, _PNG.value)
    arch = resolve_arch(_MODEL.value)
    calibration, images, labels = _images(arch)
    with captured_stderr():  # TensorFlow talks while it is imported
        _, model = resolve_model(_MODEL.value, _WEIGHTS.value, _SEED.value)
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


def main(argv: Sequence[str]) -> None:
    run("sensitivity", argv, _body)


def cli() -> None:
    """Entry point."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    app.run(main)


if __name__ == "__main__":
    cli()
