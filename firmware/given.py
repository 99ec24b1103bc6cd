# SPDX-License-Identifier: Apache-2.0
"""What `firmware.emulate` gives a board: images, a question about each, or any inputs as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from converter.contract import Stated
from converter.runtimes.interface import TensorSpec
from converter.tflite import parse, read_model
from firmware.asking import Asked, asked_by
from firmware.errors import FirmwareError
from firmware.images import ImageFile, InputSteps, find_images
from firmware.model_info import ModelInfo
from tflm_vit.files import naming, reading


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What was asked for, as the flags of the same names say.

    Attributes:
      model: path of the `.tflite`, "" where only an ELF is known.
      images: paths; question: about each; arrays: a .npy file for each input of the model.
      count: the first so many; 0: all.
      given: how pixels become inputs.
    """

    model: str
    images: Sequence[str] = ()
    question: str = ""
    arrays: Sequence[str] = ()
    count: int = 0
    given: Stated = dataclasses.field(default_factory=Stated)


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """Of one inference: its name, the bytes of all inputs, and what is asked, if anything is."""

    name: str
    data: bytes
    asked: Asked | None = None


def expect_fitting(wanted: Wanted) -> None:
    """Raises FirmwareError for flags that do not go together, or not with the model."""
    if wanted.arrays:
        if wanted.images or wanted.question or not wanted.model:
            raise FirmwareError("--arrays goes with --model, and without --images and --question")
    elif wanted.images:
        asked_by(wanted.model, wanted.question, wanted.given)
    elif wanted.question:
        raise FirmwareError("--question is about --images: give them too")


def examples(wanted: Wanted, model: ModelInfo) -> Iterator[Example]:
    """What the board gets, one after the other; of zero points or zeros where nothing is named.

    Args:
      wanted: fitting (`expect_fitting`).
      model: what the board says.

    Raises:
      FirmwareError: not what the model takes, or no such file.
    """
    if wanted.arrays:
        yield from _arrays(wanted)
    elif wanted.images:
        yield from _images(wanted, model)
    elif model.is_image:
        zero = np.full(model.image_shape, model.input_zero_point, np.int8)
        yield Example("zero image", zero.tobytes())
    else:
        yield Example("zeros", bytes(model.input_bytes))


def _images(wanted: Wanted, model: ModelInfo) -> Iterator[Example]:
    asked = asked_by(wanted.model, wanted.question, wanted.given)
    if asked is None:
        model.expect_image()
    found: list[ImageFile] = find_images(
        wanted.images, model.image_shape if asked is None else asked.image_shape
    )
    chosen = found[: wanted.count] if wanted.count else found
    steps = None
    for file in tqdm(chosen, unit="image", disable=len(chosen) < 2):
        pixels = file.pixels()
        if asked is not None:
            data = b"".join(stack.tobytes() for stack in asked.stacks([pixels]))
        elif pixels.dtype == np.int8:
            data = pixels.tobytes()
        else:
            steps = steps or InputSteps.of(model, wanted.model, wanted.given)
            data = steps.steps(pixels).tobytes()
        yield Example(file.name, data, asked)


def _arrays(wanted: Wanted) -> Iterator[Example]:
    """The model's inputs as they are."""
    with naming(wanted.model):
        graph = parse(read_model(wanted.model)).graph
        specs = [TensorSpec.of(graph.tensors[i]) for i in graph.inputs]
    if len(wanted.arrays) != len(specs):
        raise FirmwareError(
            f"--arrays: got {len(wanted.arrays)} files, expected one for each input of "
            f"{wanted.model}: {', '.join(map(str, specs))}"
        )
    stacks = [_stack(Path(path), s) for path, s in zip(wanted.arrays, specs, strict=True)]
    lengths = {len(stack) for stack in stacks}
    if len(lengths) > 1:
        raise FirmwareError(f"--arrays: got {sorted(lengths)} examples, expected as many of each")
    count = min(wanted.count or lengths.pop(), len(stacks[0]))
    for i in tqdm(range(count), unit="example", disable=count < 2):
        yield Example(f"example {i}", b"".join(stack[i].tobytes() for stack in stacks))


def _stack(path: Path, spec: TensorSpec) -> NDArray[Any]:
    """Examples of one input; a first dimension of 1 may be left out, as that of a batch."""
    with reading(path, "a .npy file", FirmwareError):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):  # np.load opens archives too, whatever their name
            raise FirmwareError(f"{path}: got an archive of arrays, expected a .npy file")
    one = spec.shape[1:] if spec.shape[:1] == (1,) else spec.shape
    fits = array.ndim and len(array) and array.shape[1:] in (spec.shape, one)
    if array.dtype != spec.dtype or not fits:
        raise FirmwareError(
            f"{path}: got {array.dtype} {list(array.shape)}, expected {spec.dtype} "
            f"[N, {', '.join(map(str, one))}]"
        )
    return array
