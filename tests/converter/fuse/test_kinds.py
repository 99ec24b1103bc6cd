# SPDX-License-Identifier: Apache-2.0
"""Files that are not int8 are refused in one line that names their kind and a remedy that works."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.fuse.kind import REMEDY
from converter.tflite import Operator, Quantization, Tensor, TfliteError, parse, serialize
from tests.converter.fuse.blocks import mlp, token_input
from tests.converter.fuse.plain_graph import PlainGraph


def plain() -> bytes:
    g = PlainGraph(np.random.default_rng(1))
    return g.finish(mlp(g, token_input(g, 4, 6)))


def retyped(activations: type, weights: type, stored: type | None = None) -> bytes:
    """The network with other types; weights that are stored otherwise go through DEQUANTIZE."""
    model = parse(plain())
    tensors = list(model.graph.tensors)
    matrices = {o.inputs[1] for o in model.graph.operators if o.opcode == "FULLY_CONNECTED"}
    integer = np.issubdtype(activations, np.integer)
    for index, t in enumerate(tensors):
        dtype = np.dtype(weights if index in matrices else activations)
        if t.dtype == np.int8:
            data = None if t.data is None else t.data.astype(dtype)
            q = t.quantization if integer or dtype == np.int8 else None
            if dtype == np.int16:
                assert q is not None
                q = dataclasses.replace(q, zero_point=np.zeros_like(q.zero_point))
            tensors[index] = dataclasses.replace(t, dtype=dtype, data=data, quantization=q)
        elif t.data is not None and t.quantization is not None and not integer:
            data = t.data.astype(np.float32)
            tensors[index] = dataclasses.replace(
                t, dtype=np.dtype(np.float32), data=data, quantization=None
            )
    operators = list(model.graph.operators)
    if stored is not None:
        for index in sorted(matrices):
            real = tensors[index]
            assert real.data is not None
            data = real.data.astype(stored)
            q = Quantization.per_tensor(0.01, 0) if data.dtype == np.int8 else None
            tensors.append(Tensor(f"stored{index}", real.shape, data.dtype, q, data))
            tensors[index] = Tensor(real.name, real.shape, np.dtype(np.float32))
            operators.insert(0, Operator("DEQUANTIZE", (len(tensors) - 1,), (index,)))
    graph = dataclasses.replace(model.graph, tensors=tuple(tensors), operators=tuple(operators))
    return serialize(dataclasses.replace(model, graph=graph))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (retyped(np.int16, np.int8), "int16 activations and int8 weights (16x8)"),
        (retyped(np.float32, np.int8), "dynamic-range quantized (hybrid)"),
        (retyped(np.float32, np.float32, np.float16), "float16 weights"),
        (retyped(np.float32, np.float32, np.int8), "weight-only quantized"),
        (retyped(np.float32, np.float32), "a float network"),
    ],
    ids=["16x8", "hybrid", "float16", "weight-only", "float"],
)
def test_kind_and_remedy_in_one_line(content: bytes, kind: str) -> None:
    with pytest.raises(TfliteError) as refused:
        fuse_model(content)
    text = str(refused.value)
    assert kind in text
    assert REMEDY in text
    assert len(text.splitlines()) == 1


def test_custom_operator_is_named() -> None:
    model = parse(plain())
    q = Quantization.per_tensor(0.1, 0)
    tensors = (*model.graph.tensors, Tensor("more", (1, 4, 6), np.dtype(np.int8), q))
    op = Operator("CUSTOM", model.graph.outputs, (len(tensors) - 1,), custom_code="MyPre")
    graph = dataclasses.replace(
        model.graph,
        tensors=tensors,
        operators=(*model.graph.operators, op),
        outputs=(len(tensors) - 1,),
    )
    with pytest.raises(TfliteError, match=r"custom operators \(MyPre\)"):
        fuse_model(serialize(dataclasses.replace(model, graph=graph)))


def test_the_remedies_exist() -> None:
    """What they do is tested where they are: tests/converter/quantize, families of fuse."""
    from ai_edge_quantizer import recipe

    assert "recipe.static_wi8_ai8()" in REMEDY
    assert recipe.static_wi8_ai8()
    assert "python -m converter.quantize" in REMEDY
    command = [sys.executable, "-m", "converter.quantize", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--model" in done.stdout or "--network" in done.stdout
