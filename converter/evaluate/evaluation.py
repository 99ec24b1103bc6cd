# SPDX-License-Identifier: Apache-2.0
"""Runs a model in several runtimes over the same images and compares every logit."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from converter import tflite
from converter.contract import Contract, quantized, stated_by
from converter.evaluate import metrics
from converter.runtimes import TensorSpec, entry_of
from keras_models.questions.examples import apart
from keras_models.tasks import CLASSIFICATION, Task, TaskScores

Int8Array = NDArray[np.int8]
Floats = NDArray[np.float32]
Labels = NDArray[np.integer]
Progress = Callable[[str, int, int], None]  # runtime, images done, images in all


@dataclasses.dataclass(frozen=True)
class QuestionEnd:
    """A second input, of so many values."""

    values: int
    scale: float
    zero_point: int


@dataclasses.dataclass(frozen=True)
class ModelEnds:
    """Quantization of a model's input and output: real = scale * (q - zero_point).

    `output_shape` is of one image, without a batch; `question` of a model that takes one.
    """

    input_shape: tuple[int, ...]
    input_scale: float
    input_zero_point: int
    output_scale: float
    output_zero_point: int
    output_shape: tuple[int, ...]
    question: QuestionEnd | None = None

    @property
    def classes(self) -> int:
        """Values in the output."""
        return math.prod(self.output_shape)

    def quantize(self, images: Floats) -> Int8Array:
        """Real values of images to the model's int8, see `converter.contract.quantized`."""
        return quantized(images, self.input_scale, self.input_zero_point)

    def inputs(self, examples: Floats) -> list[Int8Array]:
        """Each of the model's inputs of real examples: images, or with a question both in one
        array (`keras_models.questions.examples`)."""
        if self.question is None:
            return [self.quantize(examples)]
        asked = self.question
        images, codes = apart(examples, (self.input_shape, (asked.values,)))
        return [self.quantize(images), quantized(codes, asked.scale, asked.zero_point)]

    def shaped(self, values: NDArray[Any], task: Task) -> NDArray[Any]:
        """Outputs ``[images, values]`` as the task takes them: pictures, or vectors."""
        return values.reshape(-1, *self.output_shape) if task.dense else values

    def dequantize(self, logits: Int8Array) -> NDArray[np.float64]:
        """Logits in real numbers."""
        return self.output_scale * (logits.astype(np.float64) - self.output_zero_point)


def ends_of(model_bytes: bytes) -> ModelEnds:
    """Reads a model's interface.

    Raises:
      TfliteError: not a model with one int8 image in, or an image and a question, and one int8
        tensor out.
    """
    model = tflite.parse(model_bytes)
    graph = model.graph
    asked = len(graph.inputs) == 2 and stated_by(model).task.asked is not None
    if len(graph.inputs) != 1 + asked or len(graph.outputs) != 1:
        raise tflite.TfliteError(
            f"got {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected one each"
        )
    x, y = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    others = [graph.tensors[i] for i in graph.inputs[1:]]
    for what, tensor in (("input", x), *(("input", other) for other in others), ("output", y)):
        if tensor.dtype != np.int8:
            raise tflite.TfliteError(
                f"{what}: got {tensor.dtype}, expected int8: converter.fuse --int8_io makes the "
                "ends of an image classifier so"
            )
    if len(x.shape) != 4:
        raise tflite.TfliteError(f"input: got shape {list(x.shape)}, expected [1, h, w, c]")
    shape = y.shape[1:] if len(y.shape) > 1 else y.shape
    question = None
    if others:
        (q,) = others
        if len(q.shape) != 2:
            raise tflite.TfliteError(f"question: got shape {list(q.shape)}, expected [1, bytes]")
        question = QuestionEnd(q.shape[1], q.scale, q.zero_point)
    return ModelEnds(x.shape[1:], x.scale, x.zero_point, y.scale, y.zero_point, shape, question)


@dataclasses.dataclass(frozen=True, eq=False)
class RuntimeResult:
    """One runtime over the images.

    Attributes:
      name: of the runtime.
      logits: int8 outputs ``[images, values]``; fewer images than the others if it was limited.
      seconds: of inference, set-up excluded.
      scores: against the labels.
      float_agreement: share on which the float model says the same, None without one.
      float_sqnr_db: of the dequantized outputs against the float model's, None without one.
    """

    name: str
    logits: Int8Array
    seconds: float
    scores: TaskScores
    float_agreement: float | None
    float_sqnr_db: float | None

    @property
    def images_per_second(self) -> float:
        return len(self.logits) / self.seconds if self.seconds else 0.0


@dataclasses.dataclass(frozen=True)
class RuntimeComparison:
    """Two runtimes of the same file on the images that both saw; 0 and 0 are expected."""

    first: str
    second: str
    images: int
    images_different: int
    logits_different: int
    max_difference: int


class ImageBatches(Protocol):
    """Labelled images that are read a batch at a time (`keras_models.datasets.Split` is one)."""

    def __len__(self) -> int: ...

    def batches(self, batch_size: int) -> Iterable[tuple[Floats, Labels]]:
        """float32 ``[n, height, width, channels]`` as a network takes them, labels ``[n]`` or maps
        ``[n, height, width]``."""
        ...


class PixelBatches(Protocol):
    """Labelled images as bytes (`keras_models.datasets.Split`)."""

    def __len__(self) -> int: ...

    def uint8_batches(self, batch_size: int) -> Iterable[tuple[NDArray[np.uint8], Labels]]: ...


@dataclasses.dataclass(frozen=True)
class ContractImages:
    """Images as a network takes them: `ImageBatches` of its contract."""

    pixels: PixelBatches
    contract: Contract

    def __len__(self) -> int:
        return len(self.pixels)

    def batches(self, batch_size: int) -> Iterable[tuple[Floats, Labels]]:
        for pixels, labels in self.pixels.uint8_batches(batch_size):
            yield self.contract.real(pixels), labels


class BatchRuntime(Protocol):
    """What is evaluated: the part of `converter.runtimes.Runtime` that this module uses."""

    @property
    def inputs(self) -> Sequence[TensorSpec]: ...

    def run_batch(self, *stacks: NDArray[Any]) -> tuple[NDArray[Any], ...]: ...


def evaluate_runtime(
    name: str,
    runtime: BatchRuntime,
    ends: ModelEnds,
    data: ImageBatches,
    float_logits: Floats | None,
    progress: Progress,
    task: Task = CLASSIFICATION,
) -> RuntimeResult:
    """One runtime over all images of ``data``.

    Args:
      float_logits: of these images or of more that begin with these.
      progress: called after each batch.
      task: whose figures are wanted.
    """
    parts, label_parts, seconds, done = [], [], 0.0, 0
    for images, labels in data.batches(entry_of(name).batch):
        pairs = zip(ends.inputs(images), runtime.inputs, strict=True)
        stacks = [values.reshape(-1, *spec.shape) for values, spec in pairs]
        start = time.perf_counter()
        (logits,) = runtime.run_batch(*stacks)
        seconds += time.perf_counter() - start
        parts.append(logits.reshape(len(images), -1))
        label_parts.append(labels)
        done += len(images)
        progress(name, done, len(data))
    logits = np.concatenate(parts)
    agreement = sqnr = None
    if float_logits is not None:
        reference = float_logits[: len(logits)]
        if task.agreement is not None:
            both = (ends.shaped(part, task) for part in (reference, logits))
            agreement = task.agreement(*both)
        sqnr = metrics.sqnr_db(reference, ends.dequantize(logits))
    reals = ends.shaped(ends.dequantize(logits), task)
    scores = task.scores(reals, np.concatenate(label_parts))
    return RuntimeResult(name, logits, seconds, scores, agreement, sqnr)


def compare(results: Sequence[RuntimeResult]) -> tuple[RuntimeComparison, ...]:
    """All pairs, on the images that both saw (every runtime sees a prefix of the same list)."""
    pairs = []
    for i, a in enumerate(results):
        for b in results[i + 1 :]:
            count = min(len(a.logits), len(b.logits))
            wide = a.logits[:count].astype(np.int32) - b.logits[:count]
            pairs.append(
                RuntimeComparison(
                    a.name,
                    b.name,
                    count,
                    int((wide != 0).any(axis=1).sum()),
                    int((wide != 0).sum()),
                    int(np.abs(wide).max(initial=0)),
                )
            )
    return tuple(pairs)
