# SPDX-License-Identifier: Apache-2.0
"""Which contract holds: the flags', else the file's, else the one that this project trains with,
if the input's range allows it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.contract.classifier import check_pixels, image_and_output
from converter.contract.contract import (
    Contract,
    ContractError,
    check_assumed,
    check_given,
    check_names,
    check_stated,
    clean_names,
    input_range,
)
from converter.contract.metadata_reading import Stated, stated_by
from converter.contract.metadata_writing import with_contract
from converter.tflite import Model, Tensor, parse, serialize
from keras_models.datasets.normalization import OWN, Normalization
from tflm_vit.files import reading

_MAX_LABELS_BYTES = 1 << 24


def given(mean: Sequence[str], std: Sequence[str], color_order: str, labels: str) -> Stated:
    """What the flags --mean, --std, --color_order and --labels say; empty where they are not given.

    Raises:
      ContractError: numbers that are none, one of --mean and --std alone, or no label file.
    """
    normalization = None
    if mean or std:
        if not (mean and std):
            missing = "std" if mean else "mean"
            raise ContractError(f"--{missing} is missing: --mean and --std go together")
        try:
            normalization = Normalization.told(_floats("mean", mean), _floats("std", std))
        except ValueError as error:
            raise ContractError(f"--{error}") from error
    names = read_labels(labels) if labels else ()
    return Stated(normalization, color_order or None, names)


def _floats(name: str, words: Sequence[str]) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in words)
    except ValueError as error:
        raise ContractError(
            f"{name}: got {','.join(words)!r}, expected numbers with commas between"
        ) from error


def read_labels(path: str) -> tuple[str, ...]:
    """Class names of a label file; blank lines at its end do not count.

    Raises:
      ContractError: no text file, or an unusable name.
    """
    with reading(path, "a text file of class names", ContractError), open(path, "rb") as file:
        content = file.read(_MAX_LABELS_BYTES + 1)
        if len(content) > _MAX_LABELS_BYTES:
            raise ContractError(f"more than {_MAX_LABELS_BYTES} bytes")
        text = content.decode("utf-8-sig")
        names = clean_names(text.rstrip().splitlines())
        if not names:
            raise ContractError("got no class names, expected one a line")
        return names


def chosen(
    given: Stated, stated: Stated, got: tuple[float, float], channels: int, output: tuple[int, ...]
) -> Contract:
    """The contract of a network.

    Args:
      given: by flags.
      stated: by the file.
      got: the least and the greatest real value that the input can hold.
      channels: of the network's image.
      output: shape of its output, of one image.

    Raises:
      ContractError: nobody says how bytes become the input and its range is another than this
        project's, or what was said does not go with the network or its input's range.
    """
    normalization = given.normalization or stated.normalization
    if normalization is None:
        check_assumed(got)
    elif given.normalization is None:
        check_stated(normalization, got)
    else:
        check_given(normalization, got)
    contract = Contract(
        normalization or OWN,
        given.color_order or stated.color_order or Contract.color_order,
        given.class_names or stated.class_names,
        stated.trained_on,
        stated.task,
        stated.vocabulary,
    )
    check_names("--labels", given.class_names, contract.task, output)
    contract.check(channels, output)
    return contract


def range_of(tensor: Tensor) -> tuple[float, float]:
    """The real values that a quantized tensor can hold."""
    limits = np.iinfo(tensor.dtype)
    return input_range(tensor.scale, tensor.zero_point, int(limits.min), int(limits.max))


def contract_of(model: Model | bytes, given: Stated | None = None) -> Contract:
    """The contract of an image classifier with a quantized input; see `chosen`.

    Raises:
      TfliteError, ContractError: not such a model, or see `chosen`.
    """
    model = parse(model) if isinstance(model, bytes) else model
    stated = stated_by(model)
    image, output = image_and_output(model, stated.task.asked is not None)
    check_pixels(model, image)
    given = given or Stated()
    got = range_of(_quantized_input(model, image))
    return chosen(given, stated, got, image.shape[-1], output.shape)


def _quantized_input(model: Model, image: Tensor) -> Tensor:
    """The input, or what a QUANTIZE makes of one that is float."""
    if image.dtype.kind in "iu":
        return image
    graph = model.graph
    for op in graph.operators:
        if op.opcode == "QUANTIZE" and graph.tensors[op.inputs[0]] is image:
            return graph.tensors[op.outputs[0]]
    raise ContractError(
        f"input {image.name!r}: got {image.dtype} that no QUANTIZE reads, expected a network that "
        "is int8 inside"
    )


def rewritten(content: bytes, given: Stated, signature: str | None = None) -> bytes:
    """A file whose metadata says what was given, and what it said before where nothing was.

    Args:
      content: the file.
      given: by flags; nothing leaves the file as it is.
      signature: which of several inference functions in the file; None where it has one.
    """
    if given == Stated():
        return content
    model = parse(content, signature)
    return serialize(with_contract(model, contract_of(model, given)))
