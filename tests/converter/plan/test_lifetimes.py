# SPDX-License-Identifier: Apache-2.0
"""How long tensors live, and which may be overwritten: the cases that few networks show."""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.plan.in_place import overwritable_inputs
from converter.plan.lifetimes import model_problem, tensor_id
from converter.tflite import Graph, Operator, Quantization, Tensor
from tests.tflm_custom_ops import generators

Q = Quantization.per_tensor(0.1, 0)


def activation(name: str, dtype: type = np.int8, variable: bool = False) -> Tensor:
    return Tensor(name, (1, 32), np.dtype(dtype), Q, is_variable=variable)


def test_a_variable_lives_from_run_to_run() -> None:
    """Read by the second of three operators; its bytes are nobody else's before and after."""
    tensors = (
        activation("x"), activation("a"), activation("state", variable=True), activation("b"),
        activation("y"),
    )  # fmt: skip
    operators = (
        Operator("RELU", (0,), (1,)),
        Operator("ADD", (1, 2), (3,)),
        Operator("RELU", (3,), (4,)),
    )
    graph = Graph(tensors, operators, (0,), (4,))
    problem = model_problem(graph, (None,) * 3).problem
    state = problem.buffers[problem.index[tensor_id(2)]]
    assert (state.lower, state.upper) == (0, len(operators) + 1)
    plain = dataclasses.replace(tensors[2], is_variable=False)
    graph = dataclasses.replace(graph, tensors=(*tensors[:2], plain, *tensors[3:]))
    problem = model_problem(graph, (None,) * 3).problem
    assert problem.buffers[problem.index[tensor_id(2)]].upper == 3
    assert not any(tensor_id(2) == o.before for o in model_problem(
        Graph(tensors, operators, (0,), (4,)), (None,) * 3
    ).problem.overwrites)  # fmt: skip


def test_only_a_tensor_of_the_same_type_is_overwritten() -> None:
    """int8 to int16 has the same shape, and twice the bytes: results would run over operands."""
    for dtype, expected in ((np.int8, (0,)), (np.int16, ())):
        tensors = (activation("x"), activation("y", dtype))
        assert overwritable_inputs(Operator("SOFTMAX", (0,), (1,)), None, tensors) == expected


def test_what_an_operator_reads_twice_is_not_overwritten() -> None:
    """An MLP's output may begin where its input does; not where another operand of it is."""
    op = generators.mlp(np.random.default_rng(0), tokens=4, embed_dim=8, bits=8)
    tensors = (activation("x"), activation("y"), activation("blob"))
    for inputs, expected in (((0, 2), (0,)), ((0, 0, 2), ())):
        assert overwritable_inputs(Operator("CUSTOM", inputs, (1,)), op, tensors) == expected


def test_an_output_is_not_overwritten_by_the_last_operator() -> None:
    """It ends in that step as what dies there does, and is read afterwards; a variable as well."""
    state = activation("b", variable=True)
    tensors = (activation("a"), activation("b"), activation("c"), activation("y"))
    operators = (Operator("RELU", (0,), (2,)), Operator("ADD", (1, 2), (3,)))
    for second, outputs in ((tensors[1], (1, 3)), (state, (3,))):
        graph = Graph((tensors[0], second, *tensors[2:]), operators, (0, 1), outputs)
        overwrites = model_problem(graph, (None,) * 2).problem.overwrites
        assert [(o.before, o.after) for o in overwrites] == [(tensor_id(2), tensor_id(3))]
