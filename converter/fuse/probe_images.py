# SPDX-License-Identifier: Apache-2.0
"""Image files, or a NumPy file, as the inputs that the gate runs a network on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.contract import Stated, contract_of, quantized
from converter.fuse.gate.probes import MAX_PROBES
from converter.samples import load_samples
from converter.tflite import Tensor, TfliteError, parse
from keras_models.datasets.images import list_images, load_pixels

SEED = 0  # of the draw; the same images give the same file
MAX_SAMPLES = 64  # of a NumPy file, for ranges; the gate takes the first of them

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
      SampleError: no such array.
      TfliteError: a network of several inputs, or samples of another shape.
    """
    graph = parse(content, signature).graph
    inputs = [graph.tensors[i] for i in graph.inputs]
    samples = load_samples(path, MAX_SAMPLES, SEED)
    if len(inputs) != 1:
        raise TfliteError(f"--calibration_file: got {len(inputs)} inputs, expected one")
    (x,) = inputs
    if not len(samples) or samples[0].size != x.size:
        raise TfliteError(
            f"--calibration_file={path}: got shape {list(samples.shape)}, expected "
            f"[n, {', '.join(map(str, x.shape[1:]))}]"
        )
    return [[_value(x, sample.reshape(x.shape))] for sample in samples]


def _value(x: Tensor, real: NDArray[np.float32]) -> NDArray[Any]:
    if x.quantization is None or x.dtype == np.float32:
        return real.astype(x.dtype)
    return quantized(real, x.scale, x.zero_point, x.dtype)
