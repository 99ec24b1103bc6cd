# SPDX-License-Identifier: Apache-2.0
"""Image files, or a NumPy file, as the inputs that the gate runs a network on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.contract import Stated, contract_of, quantized
from converter.fuse.gate.plain import is_quantized, range_of
from converter.fuse.gate.probes import MAX_PROBES
from converter.samples import SampleError, load_samples
from converter.tflite import GraphView, Tensor, TfliteError, parse
from keras_models.datasets.images import list_images, load_pixels

SEED = 0  # of the draw; the same images give the same file
MAX_SAMPLES = 64  # of a NumPy file, for ranges; the gate takes the first of them
FAR = 4.0  # samples whose largest number differs from the input's by this factor are a mistake

Probes = list[list[NDArray[Any]]]


def probe_images(
    content: bytes, where: Sequence[str], given: Stated | None, signature: str | None = None
) -> Probes:
    """At most `MAX_PROBES` images as the network's input, of its type, for `fuse_model`.

    Args:
      content: a plain `.tflite` of one image input.
      where: image files, or folders of them.
      given: what flags say of the input; where they do not, or for None, the file's metadata
        counts.

    Raises:
      ContractError: nobody says how images become the input.
      DatasetError: no such image.
      TfliteError: a network without one image as input.
    """
    model = parse(content, signature)
    inputs = [model.graph.tensors[i] for i in model.graph.inputs]
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[-1] not in (1, 3):
        shapes = ", ".join(str(list(t.shape)) for t in inputs)
        raise TfliteError(
            f"--images: got inputs {shapes}, expected one [1, height, width, 1 or 3]; leave "
            "--images out: the network is then checked on numbers of its inputs' ranges"
        )
    (x,) = inputs
    contract = contract_of(model, given)
    found = sum(len([p] if os.path.isfile(p) else list_images(p)) for p in where)
    _, height, width, channels = x.shape
    pixels = load_pixels(where, min(found, MAX_PROBES), (height, width), channels, SEED)
    return [[_value(x, image[None])] for image in contract.real(pixels)]


def probe_samples(content: bytes, path: str, signature: str | None = None) -> Probes:
    """At most `MAX_SAMPLES` inputs of a NumPy file [n, ...] of real numbers, for `fuse_model`.

    Args:
      content: a plain `.tflite` of one input.
      path: of the file.
      signature: which of several inference functions in the file; None where it has one.

    Raises:
      SampleError: no such array, or numbers that are not what the network takes.
      TfliteError: a network of several inputs, or samples of another shape.
    """
    view = GraphView(parse(content, signature).graph)
    inputs = [view.tensor(i) for i in view.graph.inputs]
    samples = load_samples(path, MAX_SAMPLES, SEED)
    if len(inputs) != 1:
        raise TfliteError(f"--calibration_file: got {len(inputs)} inputs, expected one")
    (x,) = inputs
    # Of other axes of 1, or flat; the same number of elements in another order is another input.
    shapes = (_longer_axes(x.shape), (x.size,))
    if not len(samples) or _longer_axes(samples.shape[1:]) not in shapes:
        raise TfliteError(
            f"--calibration_file={path}: got shape {list(samples.shape)}, expected "
            f"[n, {', '.join(map(str, x.shape[1:]))}]"
        )
    _expect_scaled(view, samples, path)
    return [[_value(x, sample.reshape(x.shape))] for sample in samples]


def _longer_axes(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _expect_scaled(view: GraphView, samples: NDArray[np.float32], path: str) -> None:
    """Refuses numbers that are far larger or smaller than the input's type holds.

    Ranges inside would be learnt from an input that is clipped, or next to nothing. Of a float
    input the type is that of its QUANTIZE.

    Raises:
      SampleError: with both ends.
    """
    if not np.all(np.isfinite(samples)):
        raise SampleError(f"{path}: got numbers that are not finite, expected real ones")
    (source,) = view.graph.inputs
    readers = [view.op(op) for op in view.consumers(source)]
    kinds = [view.tensor(t) for t in (source, *(op.outputs[0] for op in readers
                                                if op.opcode == "QUANTIZE"))]  # fmt: skip
    ends = next((range_of(t) for t in kinds if is_quantized(t)), None)
    most = float(np.max(np.abs(samples)))
    if ends is None or max(map(abs, ends)) / FAR <= most <= max(map(abs, ends)) * FAR:
        return
    raise SampleError(
        f"{path}: got numbers from {samples.min():.4g} to {samples.max():.4g}, but the network's "
        f"input holds {ends[0]:.4g} to {ends[1]:.4g}: scale them as in its training"
    )


def _value(x: Tensor, real: NDArray[np.float32]) -> NDArray[Any]:
    if x.quantization is None or x.dtype == np.float32:
        return real.astype(x.dtype)
    return quantized(real, x.scale, x.zero_point, x.dtype)
