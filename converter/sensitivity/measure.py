# SPDX-License-Identifier: Apache-2.0
"""The measurements behind `converter.sensitivity`.

The float network is the converter's own float file (`converter.ptq.calibrate`), cut at the fused
operators' tensors: the residual stream is the only activation that crosses a block's border, so a
piece of the float graph has one input and one output. Fused operators run in the portable C
kernels, which equal the integer definition bit for bit.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.calibration import float_interpreter
from converter.evaluate.metrics import predictions, sqnr_db
from converter.fuse.arithmetic import Range
from converter.fuse.pipeline import fuse_model
from converter.runtimes.reference import GraphInterpreter
from converter.tflite import Graph, GraphView, Model, Tensor, TfliteError, parse, serialize
from tflm_custom_ops import host_library

Reals = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Labels = NDArray[np.integer[Any]]

_LINEAR = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"})


@dataclasses.dataclass(frozen=True)
class OperatorSensitivity:
    """One operator of the fused graph.

    SQNR in dB, null if nothing differs; accuracies 0..1, null without labels.

    Attributes:
      index, name, label: in the fused graph; `label` is its output tensor.
      own_db: its output against the float one, for the float input quantized.
      alone_db, alone_accuracy: logits when only it runs in integers.
      left_out_db, left_out_accuracy: logits when only it runs in float.
    """

    index: int
    name: str
    label: str
    own_db: float | None
    alone_db: float | None
    alone_accuracy: float | None
    left_out_db: float | None
    left_out_accuracy: float | None


@dataclasses.dataclass(frozen=True)
class LayerSensitivity:
    """One linear layer of the plain graph: SQNR in dB of rounding just this.

    Attributes:
      label: output tensor.
      weights_db: the weights in the file against the float ones as the converter folded them.
      output_db: the float output, quantized to the file's type and back.
      clipped: share of the float outputs outside the type's range, 0..1.
    """

    label: str
    weights_db: float | None
    output_db: float | None
    clipped: float


@dataclasses.dataclass(frozen=True)
class SensitivityReport:
    """The study of one network.

    Attributes:
      command, tensorflow: how it was made, absolute folders shortened, and with which version.
      model, calibration: name and choice of ranges.
      residual_bits: 8 or 16.
      images: measured on.
      float_accuracy, accuracy: of the float network and of all operators in integers; 0..1.
      db: logits with all operators in integers.
    """

    command: str
    tensorflow: str
    model: str
    calibration: str
    residual_bits: int
    images: int
    float_accuracy: float | None
    accuracy: float | None
    db: float | None
    operators: tuple[OperatorSensitivity, ...]
    layers: tuple[LayerSensitivity, ...]

    def text(self) -> str:
        """Two tables; accuracy columns are the change against float and against all integers."""
        head = f"{self.model}, residual int{self.residual_bits}, {self.calibration} ranges, "
        lines = [f"{head}{self.images} images: {_db(self.db)} dB"]
        if self.float_accuracy is not None and self.accuracy is not None:
            lines.append(f"accuracy: float {self.float_accuracy:.2%}, int8 {self.accuracy:.2%}")
        lines.append(
            f"\n{'operator':34} {'own dB':>7} {'alone dB':>9} {'points':>7} "
            f"{'left out dB':>12} {'points':>7}"
        )
        for op in self.operators:
            alone = _points(op.alone_accuracy, self.float_accuracy)
            left_out = _points(op.left_out_accuracy, self.accuracy)
            name = f"{op.index:2} {op.name.removeprefix('Vit'):12} {short(op.label):18}"
            lines.append(
                f"{name} {_db(op.own_db):>7} {_db(op.alone_db):>9} {alone:>7} "
                f"{_db(op.left_out_db):>12} {left_out:>7}"
            )
        lines.append(f"\n{'layer':34} {'weights dB':>10} {'output dB':>10} {'clipped %':>10}")
        for layer in self.layers:
            name, weights, output = short(layer.label, -1), layer.weights_db, layer.output_db
            lines.append(
                f"{name:34} {_db(weights):>10} {_db(output):>10} {100 * layer.clipped:10.3f}"
            )
        return "\n".join(lines)


def short(name: str, part: int = 0) -> str:
    """A tensor's layer: "vit_1/block0_norm1_1/add;vit_1/block0_fc1_1/BiasAdd" -> "block0_norm1".

    The converter joins the names of what it merges; `part` -1 gives the last one's.
    """
    if name.startswith("StatefulPartitionedCall"):
        return "logits"
    parts = name.split(";")[part].split("/")
    return (parts[1] if len(parts) > 2 else parts[0]).removesuffix("_1") or name


def _db(value: float | None) -> str:
    return "exact" if value is None else f"{value:.1f}"


def _points(value: float | None, base: float | None) -> str:
    return "-" if value is None or base is None else f"{100 * (value - base):+.2f}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def range_of(tensor: Tensor) -> Range:
    """A quantized tensor's type."""
    if tensor.dtype == np.int16:
        return Range(tensor.scale, tensor.zero_point, -32768, 32767)
    return Range(tensor.scale, tensor.zero_point)


def quantized(values: Reals, tensor: Tensor) -> Ints:
    """Real values in a tensor's type and shape."""
    return (
        range_of(tensor)
        .quantize(np.asarray(values, np.float64))
        .astype(tensor.dtype)
        .reshape(tensor.shape)
    )


def real(values: Ints, tensor: Tensor) -> NDArray[np.float32]:
    """Real values of a quantized tensor."""
    result: NDArray[np.float32] = (
        tensor.scale * (values.astype(np.float64) - tensor.zero_point)
    ).astype(np.float32)
    return result


# ---- pieces of the float network -----------------------------------------------------------------


class FloatPiece:
    """The float operators between two tensors."""

    def __init__(self, graph: Graph, start: int, end: int) -> None:
        """Cuts the graph.

        Raises:
          TfliteError: what lies between depends on another activation.
        """
        view = GraphView(graph)
        wanted, ops = [end], set()
        while wanted:
            tensor = wanted.pop()
            op = view.producer(tensor)
            if tensor == start or (op is None and graph.tensors[tensor].is_constant):
                continue
            if op is None:
                raise TfliteError(
                    f"the float graph between {graph.tensors[start].name!r} and "
                    f"{graph.tensors[end].name!r} reads {graph.tensors[tensor].name!r} as well"
                )
            if op not in ops:
                ops.add(op)
                wanted.extend(i for i in view.op(op).inputs if i >= 0)
        piece = _subgraph(graph, sorted(ops), start, end)
        self._interpreter = float_interpreter(serialize(Model(piece)))
        self._shape = graph.tensors[start].shape

    def run(self, values: Reals) -> NDArray[np.float32]:
        """The end tensor's values for the start tensor's (any shape with as many elements)."""
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        self._interpreter.set_tensor(
            inputs[0]["index"], np.asarray(values, np.float32).reshape(self._shape)
        )
        self._interpreter.invoke()
        result: NDArray[np.float32] = self._interpreter.get_tensor(outputs[0]["index"]).copy()
        return result


def _subgraph(graph: Graph, ops: list[int], start: int, end: int) -> Graph:
    operators = [graph.operators[i] for i in ops]
    used = dict.fromkeys([start, end])
    for op in operators:
        used.update(dict.fromkeys(i for i in (*op.inputs, *op.outputs) if i >= 0))
    place = {old: new for new, old in enumerate(used)} | {-1: -1}
    return Graph(
        tensors=tuple(graph.tensors[i] for i in used),
        operators=tuple(
            dataclasses.replace(
                op,
                inputs=tuple(place[i] for i in op.inputs),
                outputs=tuple(place[i] for i in op.outputs),
            )
            for op in operators
        ),
        inputs=(place[start],),
        outputs=(place[end],),
    )


# ---- the study -----------------------------------------------------------------------------------


class _Integers(GraphInterpreter):
    """The fused graph, operator by operator, with the C kernels instead of the NumPy reference."""

    def step(self, index: int, x: Ints) -> Ints:
        """Output of operator `index` for its activation."""
        graph = self.model.graph
        op = graph.operators[index]
        if index in self.fused:
            y: Ints = host_library.run(self.fused[index], x)
            return y.reshape(graph.tensors[op.outputs[0]].shape)
        values: dict[int, Ints] = {op.inputs[0]: x}
        self._run_builtin(index, op, values)
        return values[op.outputs[0]]


@dataclasses.dataclass(frozen=True, eq=False)
class _Logits:
    """Logits [images][operators + 2]: the last two are all integers and float."""

    rows: list[list[NDArray[np.float32]]]

    def of(self, column: int) -> NDArray[np.float32]:
        return np.stack([row[column].reshape(-1) for row in self.rows])


class Study:
    """One network, float and fused, cut into operators."""

    def __init__(self, calibrated: bytes, plain: bytes, residual_bits: int) -> None:
        """Fuses the plain file and cuts the float one in the same places.

        Args:
          calibrated: float file of `converter.ptq.calibrate`.
          plain: the plain int8 file made from it.
          residual_bits: 8 or 16.

        Raises:
          TfliteError: the fused graph is no chain of operators, or a tensor of it has no
            counterpart in the float file.
        """
        self.residual_bits = residual_bits
        self._float = parse(calibrated).graph
        self._plain = parse(plain).graph
        self._integers = _Integers(fuse_model(plain, residual_bits, judged=False).model_bytes)
        graph = self._integers.model.graph
        self._chain = _chain(graph)
        names = {t.name: i for i, t in enumerate(self._float.tensors)}
        missing = [graph.tensors[i].name for i in self._chain if graph.tensors[i].name not in names]
        if missing:
            raise TfliteError(f"the float file has no tensor {missing[0]!r}")
        cuts = [names[graph.tensors[i].name] for i in self._chain]
        last = cuts[-1]
        self._pieces = [FloatPiece(self._float, a, b) for a, b in itertools.pairwise(cuts)]
        self._suffixes = [FloatPiece(self._float, cut, last) for cut in cuts[1:-1]]

    def run(
        self, images: Reals, labels: Labels | None, step: Callable[[int], Any]
    ) -> SensitivityReport:
        """Measures.

        Args:
          images: float32 [n, height, width, channels].
          labels: [n], or None.
          step: called with 1 after each image.
        """
        count = len(self._pieces)
        own: list[list[tuple[Reals, Reals]]] = [[] for _ in range(count)]
        alone, left_out = _Logits([]), _Logits([])
        for image in images:
            exact = self._float_values(image)
            ints = self._integer_values(image)
            ends = [real(ints[-1], self._tensor(count)), exact[-1]]
            alone.rows.append([self._alone(k, exact, own[k]) for k in range(count)] + ends)
            left_out.rows.append([self._left_out(k, ints) for k in range(count)] + ends)
            step(1)
        return self._report(own, alone, left_out, labels, images)

    def _tensor(self, position: int) -> Tensor:
        return self._integers.model.graph.tensors[self._chain[position]]

    def _float_values(self, image: Reals) -> list[Reals]:
        values: list[Reals] = [image[None]]
        for piece in self._pieces:
            values.append(piece.run(values[-1]))
        return values

    def _integer_values(self, image: Reals) -> list[Ints]:
        values = [quantized(image, self._tensor(0))]
        for k in range(len(self._pieces)):
            values.append(self._integers.step(k, values[-1]))
        return values

    def _alone(
        self, k: int, exact: list[Reals], own: list[tuple[Reals, Reals]]
    ) -> NDArray[np.float32]:
        """Logits when operator k runs in integers; appends (float, integer) outputs to `own`."""
        y = self._integers.step(k, quantized(exact[k], self._tensor(k)))
        values = real(y, self._tensor(k + 1))
        own.append((exact[k + 1].reshape(-1), values.reshape(-1)))
        return self._suffixes[k].run(values) if k < len(self._suffixes) else values

    def _left_out(self, k: int, ints: list[Ints]) -> NDArray[np.float32]:
        """Logits when operator k runs in float."""
        values = self._pieces[k].run(real(ints[k], self._tensor(k)))
        if k == len(self._pieces) - 1:
            return values
        y = quantized(values, self._tensor(k + 1))
        for later in range(k + 1, len(self._pieces)):
            y = self._integers.step(later, y)
        return real(y, self._tensor(len(self._pieces)))

    def _report(
        self,
        own: list[list[tuple[Reals, Reals]]],
        alone: _Logits,
        left_out: _Logits,
        labels: Labels | None,
        images: Reals,
    ) -> SensitivityReport:
        exact, all_integers = alone.of(-1), alone.of(-2)

        def accuracy(logits: Reals) -> float | None:
            return None if labels is None else float(np.mean(predictions(logits) == labels))

        operators = tuple(
            OperatorSensitivity(
                index=k,
                name=self._integers.model.graph.operators[k].name,
                label=self._tensor(k + 1).name,
                own_db=_finite(sqnr_db(*(np.stack(side) for side in zip(*own[k], strict=True)))),
                alone_db=_finite(sqnr_db(exact, alone.of(k))),
                alone_accuracy=accuracy(alone.of(k)),
                left_out_db=_finite(sqnr_db(exact, left_out.of(k))),
                left_out_accuracy=accuracy(left_out.of(k)),
            )
            for k in range(len(own))
        )
        return SensitivityReport(
            command="",
            tensorflow="",
            model="",
            calibration="",
            residual_bits=self.residual_bits,
            images=len(images),
            float_accuracy=accuracy(exact),
            accuracy=accuracy(all_integers),
            db=_finite(sqnr_db(exact, all_integers)),
            operators=operators,
            layers=layer_sensitivities(self._float, self._plain, images),
        )


def _chain(graph: Graph) -> list[int]:
    """The activations from input to output, one per operator.

    Raises:
      TfliteError: an operator reads something else than the one before it wrote.
    """
    chain = [graph.inputs[0]]
    for index, op in enumerate(graph.operators):
        read = [i for i in op.inputs if i >= 0 and not graph.tensors[i].is_constant]
        if set(read) != {chain[-1]} or len(op.outputs) != 1:
            raise TfliteError(
                f"{op.name} (op {index}): the fused graph branches here, expected a chain of "
                "operators; what the fuser left out (converter.fuse says why) cannot be studied"
            )
        chain.append(op.outputs[0])
    return chain


# ---- layers --------------------------------------------------------------------------------------


def layer_sensitivities(
    real_graph: Graph, plain: Graph, images: Reals
) -> tuple[LayerSensitivity, ...]:
    """Weights and outputs of each linear layer that both graphs have (by its output's name)."""
    exact = {
        real_graph.tensors[op.outputs[0]].name: op
        for op in real_graph.operators
        if op.opcode in _LINEAR
    }
    layers = [
        (op, exact[plain.tensors[op.outputs[0]].name])
        for op in plain.operators
        if op.opcode in _LINEAR and plain.tensors[op.outputs[0]].name in exact
    ]
    interpreter = float_interpreter(serialize(Model(real_graph)))
    sums = np.zeros((len(layers), 3))  # signal, noise, clipped
    values = 0
    for image in images:
        interpreter.set_tensor(real_graph.inputs[0], np.asarray(image, np.float32)[None])
        interpreter.invoke()
        values += 1
        for row, (op, twin) in zip(sums, layers, strict=True):
            row += _rounding(interpreter.get_tensor(twin.outputs[0]), plain.tensors[op.outputs[0]])
    result = []
    for row, (op, twin) in zip(sums, layers, strict=True):
        weights = real_graph.tensors[twin.inputs[1]].real()
        held = plain.tensors[op.inputs[1]].real().reshape(weights.shape)
        size = values * plain.tensors[op.outputs[0]].size
        ratio = 10 * math.log10(row[0] / row[1]) if row[0] > 0 and row[1] > 0 else math.inf
        result.append(
            LayerSensitivity(
                label=plain.tensors[op.outputs[0]].name,
                weights_db=_finite(sqnr_db(weights, held)),
                output_db=_finite(ratio),
                clipped=float(row[2] / size),
            )
        )
    return tuple(result)


def _rounding(values: Reals, tensor: Tensor) -> tuple[float, float, float]:
    """(signal, noise, number clipped) of a float tensor in its int8 type."""
    wide = values.astype(np.float64)
    kind = range_of(tensor)
    back = kind.scale * (kind.quantize(wide) - kind.zero_point)
    half = kind.scale / 2
    low = kind.scale * (kind.low - kind.zero_point) - half
    high = kind.scale * (kind.high - kind.zero_point) + half
    clipped = int(np.sum((wide < low) | (wide > high)))
    return float(np.sum(wide**2)), float(np.sum((back - wide) ** 2)), float(clipped)
