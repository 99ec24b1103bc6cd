# SPDX-License-Identifier: Apache-2.0
"""Norms of one tensor that share mean and variance are an operator each."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse import fuse_model
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, rewritten


def _norms(count: int, rms: bool) -> tuple[PlainGraph, list[int]]:
    """`count` norms behind one RSQRT, each with gamma (and beta) and a layer of its own."""
    g = PlainGraph(np.random.default_rng(3))
    x = g.input(g.rng.normal(0.2, 1, (1, 6, 16)))
    centred = x if rms else g.sub(x, g.mean(x, 2))
    squares = g.mean(g.mul(centred, centred), 2)
    root = g.rsqrt(g.add(squares, g.constant(np.array(1e-3))))
    outputs = []
    for _ in range(count):
        y = g.mul(centred, g.mul(root, g.constant(g.rng.uniform(0.5, 1.5, 16))))
        if not rms:
            y = g.add(y, g.constant(g.rng.normal(0, 0.2, 16)))
        outputs.append(g.linear(y, 8))
    return g, outputs


@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize("count", [2, 3])
def test_an_operator_each(count: int, rms: bool) -> None:
    g, outputs = _norms(count, rms)
    report = fuse_model(g.finish(*outputs)).report
    code = "VitRmsNorm" if rms else "VitLayerNorm"
    assert [f.custom_code for f in report.fused].count(code) == count
    assert not report.leftovers
    normal = rewritten(g, *outputs, by="own_statistics").graph
    assert opcodes(normal).count("RSQRT") == count


def test_one_norm_stays() -> None:
    """Its reciprocal root is read twice where x and the mean are multiplied one by one."""
    g = PlainGraph(np.random.default_rng(3))
    x = g.input(g.rng.normal(0.2, 1, (1, 6, 16)))
    mean = g.mean(x, 2)
    centred = g.sub(x, mean)
    root = g.rsqrt(g.add(g.mean(g.mul(centred, centred), 2), g.constant(np.array(1e-3))))
    y = g.linear(g.sub(g.mul(x, root), g.mul(mean, root)), 8)
    assert opcodes(rewritten(g, y, by="own_statistics").graph) == opcodes(graph_of(g, y))


def test_a_norm_of_reshaped_tokens_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """It is a norm of what the RESHAPE reads, too: statistics for each of the two had no end."""
    g = PlainGraph(np.random.default_rng(3))
    x = g.reshape(g.input(g.rng.normal(0.2, 1, (1, 2, 3, 16))), 1, 6, 16)
    mean = g.mean(x, 2)
    root = g.rsqrt(
        g.add(g.mean(g.mul(g.sub(x, mean), g.sub(x, mean)), 2), g.constant(np.array(1e-3)))
    )
    y = g.linear(g.sub(g.mul(x, root), g.mul(mean, root)), 8)
    normal = rewritten(g, y, by="own_statistics").graph
    assert opcodes(normal) == opcodes(graph_of(g, y))
    assert not capsys.readouterr().err
