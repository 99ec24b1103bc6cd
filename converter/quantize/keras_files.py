# SPDX-License-Identifier: Apache-2.0
"""Quantizing a Keras model that another script saved: its calibration and its input contract."""

from __future__ import annotations

from converter.contract import Contract, ContractError, Stated
from converter.contract.contract import check_names
from converter.quantize.calibration import RangeChoice
from converter.quantize.ptq import (
    Floats,
    QuantizeError,
    calibrate_exported,
    check_samples,
    quantize_calibrated,
)
from keras_models.datasets import Dataset
from keras_models.model_file import ModelFile

_NORMALIZATIONS = (
    "--mean=0 --std=1 for bytes as they are, --mean=0 --std=255 for 0 to 1, --mean=127.5 "
    "--std=127.5 for -1 to 1"
)
SOURCES = "--calibration_dir=FOLDER of images, --dataset=NAME or --calibration_file=FILE.npy"


def image_size(model: ModelFile) -> tuple[int, int]:
    """(height, width) of the images that calibrate a model.

    Raises:
      QuantizeError: it takes something else.
    """
    if not model.is_image:
        raise QuantizeError(
            f"{model.path}: takes [{', '.join(map(str, model.input_shape))}], which is no image of "
            "1 or 3 channels: give --calibration_file=FILE.npy, inputs as it takes them"
        )
    return model.input_shape[0], model.input_shape[1]


def contract_for(model: ModelFile, given: Stated, data: Dataset | None) -> Contract | None:
    """What goes into the file; None where nothing says how images become the input.

    Raises:
      ContractError: flags that contradict the model's first layers, or do not go with its shapes.
    """
    own = model.normalization
    if given.normalization and own and given.normalization != own:
        raise ContractError(
            f"{model.path}: its first layer takes images as {own}, got {given.normalization}: "
            "leave --mean and --std out"
        )
    normalization = given.normalization or own
    if normalization is None or not model.is_image or not model.output_size:
        if given.class_names or given.color_order or given.normalization:
            raise ContractError(
                f"{model.path}: --mean, --std, --color_order and --labels go with one image as "
                "input and one output, --mean and --std together"
            )
        return None
    names = given.class_names
    if not names and data is not None and data.num_classes == model.output_size:
        names = data.class_names
    order = given.color_order or Contract.color_order
    contract = Contract(normalization, order, names)
    output = (1, model.output_size)
    check_names("--labels", given.class_names, contract.task, output)
    contract.check(model.input_shape[-1], output)
    return contract


def expect_contract(model: ModelFile, contract: Contract | None) -> Contract:
    """For calibration on images, which must become inputs.

    Raises:
      ContractError: nothing says how; the line names the flags to give.
    """
    if contract is not None:
        return contract
    if not model.output_size:
        raise ContractError(
            f"{model.path}: has several outputs: give --calibration_file=FILE.npy, inputs as it "
            "takes them"
        )
    raise ContractError(
        f"{model.path}: nothing says how an image becomes its input: give --mean and --std, "
        f"{_NORMALIZATIONS}"
    )


def quantize_file(
    model: ModelFile,
    samples: Floats,
    *,
    per_channel: bool,
    ranges: RangeChoice,
    progress: bool = False,
) -> bytes:
    """The plain int8 `.tflite` of a model.

    Args:
      samples: float32 [n, *input_shape].

    Raises:
      QuantizeError: unusable samples, or a model that does not become fully int8.
    """
    checked = check_samples(samples, model.input_shape)
    calibrated = calibrate_exported(
        model.export, checked, (checked.shape[1:],), ranges=ranges, progress=progress
    )
    return quantize_calibrated(calibrated, per_channel=per_channel)
