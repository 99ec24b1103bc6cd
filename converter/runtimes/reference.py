# SPDX-License-Identifier: Apache-2.0
"""Runs a plain or fused `.tflite` in Python, operator by operator.

Fused operators are computed by their definition (`tflm_custom_ops.reference`), builtin ones by
`converter.builtins`: TFLM's arithmetic, from which LiteRT's reference kernels differ by a step in
many (factors of scales in another precision, one rounding instead of two, tables instead of fixed
point). What that has not, floating point for instance, LiteRT's reference kernels compute, each as
a model of one operator. Slow; it is what the other runtimes are compared with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from converter.builtins import defined
from converter.fused_ops import decoded
from converter.runtimes.interface import Array, Runtime, RuntimeUnavailableError
from converter.tflite import Graph, Model, Operator, TfliteError, parse, serialize
from tflm_custom_ops.ops import Params, run_reference


def litert_interpreter(model_bytes: bytes) -> Any:
    """A LiteRT interpreter with reference kernels and no delegate, tensors allocated."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=model_bytes,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    return interpreter


class GraphInterpreter:
    """Runs one model again and again.

    Attributes:
      model: the parsed file.
      fused: parameters of each fused operator by operator index.
    """

    def __init__(self, model_bytes: bytes) -> None:
        """Parses and checks a file.

        Raises:
          TfliteError: malformed, or with a custom operator that is not ours, or with one that keeps
            a value from one run to the next.
        """
        self.model: Model = parse(model_bytes)
        self.fused: dict[int, Params] = {}
        self._defined: dict[int, Callable[..., tuple[NDArray[Any], ...]]] = {}
        self._litert: dict[int, Any] = {}
        graph = self.model.graph
        for index, op in enumerate(graph.operators):
            if any(i >= 0 and graph.tensors[i].is_variable for i in op.inputs):
                raise TfliteError(f"operator {index}: got a state of {op.name}, expected none")
            fused = decoded(graph, op)
            if fused is not None:
                self.fused[index] = fused
            elif op.opcode == "CUSTOM":
                raise TfliteError(f"operator {index}: got custom operator {op.name!r}, not ours")
            elif (compute := defined(graph.tensors, op)) is not None:
                self._defined[index] = compute
            else:
                self._litert[index] = litert_interpreter(serialize(_one_op(graph, op)))

    def tensors(self, *inputs: NDArray[Any]) -> dict[int, NDArray[Any]]:
        """Values of all activations for one inference, by tensor index.

        Raises:
          ValueError: wrong number of inputs, or one of another type or number of elements.
        """
        graph = self.model.graph
        if len(inputs) != len(graph.inputs):
            raise ValueError(f"inputs: got {len(inputs)}, expected {len(graph.inputs)}")
        values: dict[int, NDArray[Any]] = {}
        for tensor, x in zip(graph.inputs, inputs, strict=True):
            source = graph.tensors[tensor]
            if x.dtype != source.dtype or x.size != source.size:
                raise ValueError(
                    f"input {source.name!r}: got {x.dtype} {list(x.shape)}, expected "
                    f"{source.dtype} {list(source.shape)}"
                )
            values[tensor] = x.reshape(source.shape)
        for index, op in enumerate(graph.operators):
            if index in self.fused:
                read = (self._value(values, i) for i in op.inputs[:-1])
                y = run_reference(self.fused[index], *read)
                values[op.outputs[0]] = y.reshape(graph.tensors[op.outputs[0]].shape)
            else:
                self._run_builtin(index, op, values)
        return values

    def run(self, *inputs: NDArray[Any]) -> NDArray[Any]:
        """The network's first output for one inference (quantized, as the file's types say)."""
        return self.run_all(*inputs)[0]

    def run_all(self, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """All outputs of the network."""
        values = self.tensors(*inputs)
        return [self._value(values, i) for i in self.model.graph.outputs]

    def _value(self, values: dict[int, NDArray[Any]], tensor: int) -> NDArray[Any]:
        constant = self.model.graph.tensors[tensor].data
        return values[tensor] if constant is None else constant

    def _run_builtin(self, index: int, op: Operator, values: dict[int, NDArray[Any]]) -> None:
        graph = self.model.graph
        if index in self._defined:
            inputs = [values[i] for i in op.inputs if i >= 0 and not graph.tensors[i].is_constant]
            for tensor, y in zip(op.outputs, self._defined[index](*inputs), strict=True):
                values[tensor] = y
            return
        interpreter = self._litert[index]
        activations = _activations(graph, op)
        for tensor, detail in zip(activations, interpreter.get_input_details(), strict=True):
            interpreter.set_tensor(detail["index"], values[tensor])
        interpreter.invoke()
        for tensor, detail in zip(op.outputs, interpreter.get_output_details(), strict=True):
            values[tensor] = interpreter.get_tensor(detail["index"])


def _activations(graph: Graph, op: Operator) -> tuple[int, ...]:
    """The operator's inputs that are no constants, each once."""
    return tuple(dict.fromkeys(i for i in op.inputs if i >= 0 and not graph.tensors[i].is_constant))


def _one_op(graph: Graph, op: Operator) -> Model:
    """A model that runs just this operator; inputs in the order of `_activations`."""
    used = tuple(dict.fromkeys(i for i in (*op.inputs, *op.outputs) if i >= 0))
    place = {old: new for new, old in enumerate(used)} | {-1: -1}
    renumbered = dataclasses.replace(
        op,
        inputs=tuple(place[i] for i in op.inputs),
        outputs=tuple(place[i] for i in op.outputs),
    )
    return Model(
        Graph(
            tensors=tuple(graph.tensors[i] for i in used),
            operators=(renumbered,),
            inputs=tuple(place[i] for i in _activations(graph, op)),
            outputs=renumbered.outputs,
        )
    )


class ReferenceRuntime(Runtime):
    """The definition as a runtime."""

    def __init__(self, model_bytes: bytes, graph: Graph) -> None:
        super().__init__(graph)
        self._interpreter = GraphInterpreter(model_bytes)

    def _run(self, arrays: Sequence[Array]) -> list[Array]:
        return self._interpreter.run_all(*arrays)


def create(model_bytes: bytes, graph: Graph, threads: int) -> ReferenceRuntime:
    """Factory of `converter.runtimes.registry`; ``threads`` has no effect."""
    del threads
    try:
        return ReferenceRuntime(model_bytes, graph)
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise RuntimeUnavailableError(f"reference: {text}") from error
