# SPDX-License-Identifier: Apache-2.0
"""The measurements behind `converter.sensitivity`.

The float network is the converter's own float file (`converter.quantize.ptq.calibrate`), cut at the
fused operators' tensors: the residual stream is the only activation that crosses a block's border,
so a piece of the float graph has one input and one output. Fused operators run in the portable C
kernels, which equal the integer definition bit for bit.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.evaluate.metrics import sqnr_db
from converter.fuse.pipeline import fuse_model
from converter.runtimes.reference import GraphInterpreter
from converter.sensitivity.layers import layer_sensitivities
from converter.sensitivity.pieces import FloatPiece
from converter.sensitivity.report import OperatorSensitivity, SensitivityReport, finite
from converter.sensitivity.values import Ints, Reals, quantized, real
from converter.tflite import Graph, Tensor, TfliteError, parse
from keras_models.tasks.accuracy import predictions
from tflm_custom_ops import host_library

Labels = NDArray[np.integer[Any]]


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
          calibrated: float file of `converter.quantize.ptq.calibrate`.
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
                own_db=finite(sqnr_db(*(np.stack(side) for side in zip(*own[k], strict=True)))),
                alone_db=finite(sqnr_db(exact, alone.of(k))),
                alone_accuracy=accuracy(alone.of(k)),
                left_out_db=finite(sqnr_db(exact, left_out.of(k))),
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
            db=finite(sqnr_db(exact, all_integers)),
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
