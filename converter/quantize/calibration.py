# SPDX-License-Identifier: Apache-2.0
"""Ranges of activations that are narrower than their extremes.

The TFLite converter works in two steps: a float file whose tensors carry the minimum and maximum
seen on the calibration images, and its quantization. Between the two the ranges of tensors can be
replaced, and the converter then uses these as if it had seen them:

    minmax       the extremes (what the converter does by itself)
    percentile   leaves out the same share of values at each end
    mse          the range whose int8 error, rounding and clipping together, is least

Histograms are taken of the float network's own values (LiteRT, float kernels). Some tensors keep
their extremes whatever the method, see `_kept`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.tflite.flatbuffer import pack, schema, unpack
from converter.tflite.schema import OPCODE_NAMES
from keras_models.questions.examples import apart

Floats = NDArray[np.float32]
METHODS = ("minmax", "percentile", "mse")
DEFAULT_PERCENTILE = 99.99

BINS = 2048  # eight for each int8 step of the whole range
_LEVELS = 256
_FRACTIONS = np.linspace(0.1, 1.0, 46)  # of each end's extreme that the mse search tries


@dataclasses.dataclass(frozen=True)
class RangeChoice:
    """How ranges are chosen.

    Attributes:
      method: one of `METHODS`.
      percentile: for that method, 50..100: 99.99 leaves out a ten-thousandth at each end.
    """

    method: str = "minmax"
    percentile: float = DEFAULT_PERCENTILE

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"calibration: got {self.method!r}, expected {', '.join(METHODS)}")
        if not 50.0 < self.percentile <= 100.0:
            raise ValueError(f"percentile: got {self.percentile}, expected above 50, at most 100")

    def __str__(self) -> str:
        return f"percentile {self.percentile:g}" if self.method == "percentile" else self.method

    def range_of(self, histogram: Histogram) -> tuple[float, float]:
        """(low, high), low <= 0 <= high, within the histogram's."""
        if self.method == "percentile":
            return percentile_range(histogram, self.percentile)
        if self.method == "mse":
            return mse_range(histogram)
        return min(histogram.low, 0.0), max(histogram.high, 0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Histogram:
    """How often a tensor's values fall into equal parts of low..high.

    Attributes:
      low, high: extremes over all images, low < high.
      counts: int64 [bins].
    """

    low: float
    high: float
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, low: float, high: float) -> Histogram:
        return cls(low, high, np.zeros(BINS, np.int64))

    def add(self, values: Floats) -> None:
        """Counts values; those outside (another kernel's rounding) go into the end bins."""
        place = (values.reshape(-1) - self.low) * (len(self.counts) / (self.high - self.low))
        bins = np.clip(place.astype(np.int64), 0, len(self.counts) - 1)
        self.counts[:] += np.bincount(bins, minlength=len(self.counts))

    @property
    def edges(self) -> NDArray[np.float64]:
        return np.linspace(self.low, self.high, len(self.counts) + 1)

    @property
    def centres(self) -> NDArray[np.float64]:
        edges = self.edges
        return (edges[1:] + edges[:-1]) / 2


def percentile_range(histogram: Histogram, percentile: float) -> tuple[float, float]:
    """The range without the `100 - percentile` per cent lowest and as many highest values."""
    below = np.cumsum(histogram.counts)
    share = below[-1] * (1.0 - percentile / 100.0)
    edges = histogram.edges
    low = edges[int(np.searchsorted(below, share, side="right"))]
    above = below[-1] - np.concatenate([[0], below[:-1]])  # values in this bin or higher
    high = edges[int(np.flatnonzero(above > share)[-1]) + 1]
    return min(float(low), 0.0), max(float(high), 0.0)


def mse_range(histogram: Histogram) -> tuple[float, float]:
    """The range of least mean squared error in 256 levels, zero among them.

    Every pair of ends is tried by quantizing the histogram's bins: the usual step**2 / 12 for the
    rounding is wrong where a far outlier leaves most values within a single step (Banner et al.
    2019 derive the trade-off for symmetric ranges and assumed distributions).
    """
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    filled = histogram.counts > 0
    x, n = histogram.centres[filled], histogram.counts[filled].astype(np.float64)
    best, chosen = np.inf, (low, high)
    for start in low * _FRACTIONS:
        for end in high * _FRACTIONS:
            error = _rounding_error(x, n, float(start), float(end))
            if error < best:
                best, chosen = error, (float(start), float(end))
    return chosen


def _rounding_error(
    x: NDArray[np.float64], n: NDArray[np.float64], low: float, high: float
) -> float:
    """Sum of squared errors of n values each at x, quantized to the levels of a range."""
    step = (high - low) / (_LEVELS - 1)
    if step <= 0.0:
        return float(np.dot(n, x * x))
    zero = round(-low / step)
    level = np.clip(np.rint(x / step), -zero, _LEVELS - 1 - zero)
    return float(np.dot(n, (step * level - x) ** 2))


# ---- the calibrated file -------------------------------------------------------------------------


def choose_ranges(
    calibrated: bytes,
    images: Floats,
    choice: RangeChoice,
    step: Callable[[int], Any] = lambda count: None,
) -> bytes:
    """The file with ranges chosen on the images instead of the extremes.

    Args:
      calibrated: the float file with extremes, from the converter's first step.
      images: float32 [n, height, width, channels], those that the extremes come from.
      step: called with 1 after each image.
    """
    if choice.method == "minmax":
        return calibrated
    tree = unpack(calibrated)
    graph = tree.subgraphs[0]
    kept = _kept(tree)
    histograms = {
        index: Histogram.empty(float(t.quantization.min[0]), float(t.quantization.max[0]))
        for index, t in enumerate(graph.tensors)
        if index not in kept and _has_range(t)
    }
    _fill(histograms, calibrated, images, step)
    for index, histogram in histograms.items():
        low, high = choice.range_of(histogram)
        set_range(graph.tensors[index], low, high)
    return pack(tree)


def set_range(tensor: Any, low: float, high: float) -> None:
    """Sets a float tensor's calibrated range."""
    tensor.quantization.min = np.array([low], np.float32)
    tensor.quantization.max = np.array([high], np.float32)


def _has_range(tensor: Any) -> bool:
    """Whether a tensor has calibrated extremes that leave something to choose."""
    q = tensor.quantization
    if tensor.type != schema.TensorType.FLOAT32 or q is None or q.min is None or len(q.min) != 1:
        return False
    return bool(np.isfinite(q.min[0]) and np.isfinite(q.max[0]) and q.min[0] < q.max[0])


def _kept(tree: Any) -> set[int]:
    """Tensors that keep their extremes.

    Inputs and outputs of the network; statistics of a token; and what a mean is taken of. That is
    the residual stream, which each LayerNorm averages (its largest channels carry what it divides
    by, and its int16 form takes its range from the int8 one), and the squares (clipped, they would
    make every variance too small).
    """
    graph = tree.subgraphs[0]
    kept = {int(i) for i in (*graph.inputs, *graph.outputs)}
    for index, tensor in enumerate(graph.tensors):
        shape = () if tensor.shape is None else tuple(tensor.shape)
        if shape and shape[-1] == 1:
            kept.add(index)
    for op in graph.operators:
        if _name(tree, op) == "MEAN":
            kept.add(int(op.inputs[0]))
    return kept


def _name(tree: Any, op: Any) -> str:
    code = tree.operatorCodes[op.opcodeIndex]
    return OPCODE_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _fill(
    histograms: dict[int, Histogram],
    model: bytes,
    images: Iterable[Floats],
    step: Callable[[int], Any],
) -> None:
    interpreter = float_interpreter(model)
    sources = interpreter.get_input_details()
    shapes = tuple(tuple(int(n) for n in source["shape"][1:]) for source in sources)
    for image in images:
        for source, values in zip(sources, apart(image[None], shapes), strict=True):
            interpreter.set_tensor(source["index"], values)
        interpreter.invoke()
        for index, histogram in histograms.items():
            histogram.add(interpreter.get_tensor(index))
        step(1)


def float_interpreter(model: bytes) -> Any:
    """A LiteRT interpreter whose every tensor can be read after a run.

    No delegate: it would take operators, and the tensors between them, away.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
        num_threads=2,
    )
    interpreter.allocate_tensors()
    return interpreter
