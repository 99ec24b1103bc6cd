# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization: a Keras model and sample images to a plain int8 `.tflite`.

The result is what the TFLite converter makes: static batch of 1, int8 input and output, weights per
output channel, activation ranges from the samples (TFLite 8-bit quantization specification).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from converter.quantize.calibration import RangeChoice, choose_ranges
from converter.tflite import TfliteError, parse
from converter.tflite.flatbuffer import pack, unpack
from keras_models.datasets.normalization import BYTES
from keras_models.model_file import INPUT_NAMES, ModelFileError, export_keras
from keras_models.questions.examples import apart, rows_of
from keras_models.staged import Architecture
from tflm_vit.stderr import captured_stderr

Floats = npt.NDArray[np.float32]


MINMAX = RangeChoice()


class QuantizeError(ValueError):
    """A model or a calibration set cannot be quantized; the message says why and what to do."""


def check_calibration(images: Floats, arch: Architecture) -> Floats:
    """`check_samples` of (n, size, size, channels) images in [-1, 1], or of examples that are an
    image and a question (`keras_models.questions.examples`)."""
    side, channels = arch.image_size, arch.channels
    rows = rows_of(arch.question, side, channels)
    return check_samples(images, (side + rows, side, channels))


def with_all_bytes(images: Floats, arch: Architecture) -> Floats:
    """Of texts with one more that has the least and the greatest byte: the input's range is then
    that of all bytes, in steps of 1, and int8 holds each as it is."""
    if arch.normalization != BYTES:
        return images
    low, high = BYTES.ends
    ends = images[:1].copy()
    ends[0, 0, 0], ends[0, -1, -1] = low, high
    return np.concatenate([images, ends])


def check_samples(samples: Floats, shape: tuple[int, ...]) -> Floats:
    """The samples as float32, if ranges can be learnt from them.

    Args:
      samples: (n, *shape) as the network takes them; a shape of three dimensions is an image's.

    Raises:
      QuantizeError: none, another shape, not finite, or none that differs from a plain area.
    """
    samples = np.asarray(samples, np.float32)
    if samples.shape[1:] != shape or len(samples) == 0:
        raise QuantizeError(
            f"calibration images: got shape {list(samples.shape)}, expected "
            f"[at least 1, {', '.join(map(str, shape))}]"
        )
    if not np.all(np.isfinite(samples)):
        raise QuantizeError("calibration images: got values that are not finite")
    # One value per channel is still a plain area.
    area = (1, 2) if len(shape) == 3 else tuple(range(1, samples.ndim))
    spread = np.ptp(samples, axis=area).reshape(len(samples), -1).max(axis=1)
    plain = int(np.sum(spread == 0.0))
    if plain == len(samples):
        raise QuantizeError(
            f"calibration images: all {len(samples)} are constant, so every activation range would "
            "be learnt from plain areas and real images would be clipped; give real images "
            "(--dataset, --calibration_dir)"
        )
    if len(samples) > 1 and np.all(samples == samples[0]):
        raise QuantizeError(
            f"calibration images: all {len(samples)} are the same image; give different ones"
        )
    return samples


def quantize(
    model: Any,
    arch: Architecture,
    calibration: Floats,
    *,
    per_channel: bool = True,
    ranges: RangeChoice = MINMAX,
    progress: bool = False,
) -> bytes:
    """Quantizes a model to int8.

    Args:
      model: Keras 3 (TensorFlow backend) or tf_keras model of `arch`.
      arch: its architecture; input shape and messages.
      calibration: (n, size, size, channels) float32 in [-1, 1]: images like those the network
        will see. A few dozen suffice.
      per_channel: a scale for each output channel of linear layers; False gives one per layer,
        which takes less RAM in TFLM's builtin kernels and costs accuracy.
      ranges: how activation ranges are chosen from what the images show.
      progress: show a bar on stderr.

    Returns:
      The plain `.tflite`.

    Raises:
      QuantizeError: unusable calibration images, or a model that does not become fully int8.
    """
    return quantize_calibrated(
        calibrate(model, arch, calibration, ranges=ranges, progress=progress),
        per_channel=per_channel,
    )


def calibrate(
    model: Any,
    arch: Architecture,
    calibration: Floats,
    *,
    ranges: RangeChoice = MINMAX,
    progress: bool = False,
) -> bytes:
    """The float `.tflite` whose tensors carry the ranges that `quantize_calibrated` will use.

    Arguments as for `quantize`. The file runs in LiteRT; its tensors have the indices and names of
    the plain file's.

    Raises:
      QuantizeError: unusable calibration images, or a model that the converter refuses.
    """
    images = with_all_bytes(check_calibration(calibration, arch), arch)
    shapes = arch.input_shapes
    return calibrate_exported(
        lambda folder: export_keras(model, shapes, folder),
        images,
        shapes,
        ranges=ranges,
        progress=progress,
    )


def calibrate_exported(
    export: Callable[[str], None],
    images: Floats,
    shapes: tuple[tuple[int, ...], ...],
    *,
    ranges: RangeChoice = MINMAX,
    progress: bool = False,
) -> bytes:
    """`calibrate` of anything that can be written as a SavedModel with a batch of 1.

    Args:
      export: writes it to the folder that it is given.
      images: checked ones, see `check_samples`.
      shapes: of its inputs, without the batch.
    """
    passes = 1 if ranges.method == "minmax" else 2
    with tempfile.TemporaryDirectory() as directory, captured_stderr() as captured:
        bar = tqdm(
            total=passes * len(images),
            desc="calibrate",
            unit="image",
            file=captured.screen,
            disable=not progress,
        )
        try:
            export(directory)
            calibrated = _calibrated(directory, images, shapes, bar.update)
            return choose_ranges(calibrated, images, ranges, bar.update)
        except (QuantizeError, ModelFileError):
            raise
        except (RuntimeError, ValueError, TypeError) as error:
            captured.show()
            raise QuantizeError(f"the TFLite converter failed: {_last_line(error)}") from error
        finally:
            bar.close()


def quantize_calibrated(calibrated: bytes, *, per_channel: bool = True) -> bytes:
    """The plain int8 `.tflite` of a file with ranges.

    Raises:
      QuantizeError: it does not become fully int8.
    """
    # The second half of `TFLiteConverter.convert`: it has no public name, while the first half has
    # a flag, and only between the two can ranges be chosen.
    from tensorflow import int8
    from tensorflow.lite.python.convert import mlir_quantize

    with captured_stderr() as captured:
        try:
            content = bytes(
                mlir_quantize(
                    calibrated,
                    input_data_type=int8,
                    output_data_type=int8,
                    disable_per_channel_for_dense_layers=not per_channel,
                )
            )
        except (RuntimeError, ValueError, TypeError) as error:
            captured.show()
            raise QuantizeError(f"the TFLite converter failed: {_last_line(error)}") from error
    _check_int8(content)
    return content


def _calibrated(
    directory: str,
    images: Floats,
    shapes: tuple[tuple[int, ...], ...],
    step: Callable[[int], Any],
) -> bytes:
    """The converter's first step: float, with the extremes of every tensor."""
    import tensorflow as tf

    def samples() -> Iterator[list[Floats] | dict[str, Floats]]:
        for image in images:
            parts = apart(image[None], shapes)
            yield parts if len(parts) == 1 else dict(zip(INPUT_NAMES, parts, strict=True))
            step(1)

    converter = tf.lite.TFLiteConverter.from_saved_model(directory)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_calibrate_only = True
    content = bytes(converter.convert())
    return content if len(shapes) == 1 else _in_order(content, shapes)


def _in_order(content: bytes, shapes: tuple[tuple[int, ...], ...]) -> bytes:
    """The file with its inputs in this order of their shapes: the converter has one of its own."""
    tree = unpack(content)
    graph = tree.subgraphs[0]
    found = {tuple(int(n) for n in graph.tensors[i].shape[1:]): int(i) for i in graph.inputs}
    graph.inputs = np.array([found[shape] for shape in shapes], np.int32)
    return pack(tree)


def _check_int8(content: bytes) -> None:
    try:
        graph = parse(content).graph
    except TfliteError as error:
        raise QuantizeError(f"the TFLite converter's result is not usable: {error}") from error
    for index in (*graph.inputs, *graph.outputs):
        tensor = graph.tensors[index]
        if tensor.dtype != np.int8:
            raise QuantizeError(f"{tensor.name!r}: got {tensor.dtype}, expected int8")


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
