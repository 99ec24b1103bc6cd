# SPDX-License-Identifier: Apache-2.0
"""Grouped convolutions: to the bit what LiteRT computes of the plain ones, in every runtime."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.tflite import Quantization
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import equal_everywhere, opcodes, rewritten


def grouped(
    inputs: int, groups: int, outputs: int, per_tensor: bool = False
) -> tuple[PlainGraph, int, int]:
    """A 3x3 convolution whose groups read inputs // groups channels each."""
    g = PlainGraph(np.random.default_rng(groups))
    x = g.input(g.rng.normal(0, 1, (1, 7, 6, inputs)))
    y = g.convolution(x, outputs, 3)
    weights = g.operators[-1].inputs[1]
    w = g.tensors[weights]
    assert w.data is not None
    assert w.quantization is not None
    data = np.ascontiguousarray(w.data[..., : inputs // groups])
    q = w.quantization
    if per_tensor:
        q = Quantization(q.scale[:1], q.zero_point[:1])
        bias = g.operators[-1].inputs[2]
        unit = (q.scale * g.tensors[x].scale).astype(np.float32)
        g.tensors[bias] = dataclasses.replace(
            g.tensors[bias], quantization=Quantization(unit, q.zero_point)
        )
    g.tensors[weights] = dataclasses.replace(w, shape=data.shape, data=data, quantization=q)
    return g, x, y


@pytest.mark.parametrize(
    ("inputs", "groups", "outputs", "per_tensor"),
    [
        (12, 2, 8, False), (12, 3, 3, False), (12, 4, 20, True), (26, 13, 13, False),
        (12, 12, 12, False), (12, 12, 36, True),
    ],
)  # fmt: skip
def test_it_is_the_same_in_every_runtime(
    inputs: int, groups: int, outputs: int, per_tensor: bool
) -> None:
    g, x, y = grouped(inputs, groups, outputs, per_tensor)
    found = opcodes(rewritten(g, y, by="grouped_convolution").graph)
    joined = ["CONCATENATION"] * (3 if groups > 10 else 1)
    by_group = ["SPLIT", *["CONV_2D"] * groups, *joined]
    assert found == (["DEPTHWISE_CONV_2D"] if groups == inputs else by_group)
    equal_everywhere(g, x, y)


def test_an_ungrouped_one_stays() -> None:
    g, _, y = grouped(12, 1, 8)
    assert opcodes(rewritten(g, y, by="grouped_convolution").graph) == ["CONV_2D"]
