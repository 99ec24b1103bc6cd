# SPDX-License-Identifier: Apache-2.0
"""What the accuracy benchmarks share: running a file on images, and where results come from."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from converter.contract import quantized
from converter.evaluate.evaluation import RuntimeResult, ends_of, evaluate_runtime
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import parse
from converter.weight_bits.fused import MAX_ROUNDING_SAMPLES, round_file
from converter.weight_bits.wanted import WeightBits
from tflm_vit.files import write_atomic
from tflm_vit.run import typed_command

TARGET_INT8_GAIN_DB = 2.0  # fused, int8 residual stream, over the plain file; random weights
TARGET_INT16_DB = 26.0  # fused, int16 residual stream
_Z_95 = 1.959963984540054
_PACKAGES = ("tensorflow", "keras", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert")


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Where a result comes from.

    Attributes:
      command: as typed, absolute folders shortened to their last part.
      versions: of Python and the packages that computed it.
      machine: architecture; accuracies do not depend on it, seconds do.
    """

    command: str
    versions: tuple[tuple[str, str], ...]
    machine: str


def recorded(module: str) -> Recorded:
    """This process, as `python -m module flags`."""
    versions = [("python", platform.python_version()), ("numpy", np.__version__)]
    versions += [(name, importlib.metadata.version(name)) for name in _PACKAGES]
    return Recorded(typed_command(module), tuple(versions), platform.machine())


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Images in memory with labels, in the form that evaluations read.

    Attributes:
      values: float32 [n, size, size, channels] in [-1, 1].
      labels: int [n].
    """

    values: NDArray[np.float32]
    labels: NDArray[np.integer[Any]]

    def __len__(self) -> int:
        return len(self.values)

    def batches(self, size: int) -> Any:
        for start in range(0, len(self), size):
            yield self.values[start : start + size], self.labels[start : start + size]


def fused(plain: bytes, residual_bits: int) -> bytes:
    """The plain file fused and planned."""
    return plan_model(fuse_model(plain, residual_bits).model_bytes).model_bytes


def small_weights(plain: bytes, images: NDArray[np.float32]) -> bytes:
    """The plain file with weights of 4 bits, rounded against images as `converter.quantize` does.

    Args:
      images: float32 [n, size, size, channels] in [-1, 1].
    """
    graph = parse(plain).graph
    (x,) = (graph.tensors[i] for i in graph.inputs)
    chosen = images[:MAX_ROUNDING_SAMPLES]
    probes = [[quantized(s[None], x.scale, x.zero_point, x.dtype)] for s in chosen]
    return round_file(plain, WeightBits(4), probes=probes).model_bytes


def run_file(
    what: str,
    runtime: str,
    model: bytes,
    data: Any,
    float_logits: NDArray[np.float32] | None,
    threads: int,
) -> RuntimeResult:
    """One file in one runtime over all images, with a progress bar."""
    with tqdm(total=len(data), desc=what, unit="image") as bar:

        def step(_: str, done: int, __: int) -> None:
            bar.update(done - bar.n)

        engine = open_runtime(runtime, model, threads)
        return evaluate_runtime(runtime, engine, ends_of(model), data, float_logits, step)


def paired_loss(
    float_right: NDArray[np.bool_], right: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """(loss, low, high): mean of float_right - right with its 95 % interval, fractions."""
    difference = float_right.astype(np.float64) - right
    mean = float(difference.mean())
    spread = _Z_95 * float(difference.std()) / math.sqrt(len(difference))
    return mean, mean - spread, mean + spread


def write_json(path: str, record: Any) -> None:
    """A dataclass as JSON; versions become an object."""
    tree = dataclasses.asdict(record)
    tree["recorded"]["versions"] = dict(tree["recorded"]["versions"])
    write_atomic(path, (json.dumps(tree, indent=2) + "\n").encode())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text; the first is aligned left, the others right."""
    widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]
    lines = []
    for line in (head, *rows):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
