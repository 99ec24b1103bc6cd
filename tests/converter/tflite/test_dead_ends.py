# SPDX-License-Identifier: Apache-2.0
"""Parts of a network that are next to nothing are read, and computed as every kernel can."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Quantization, Tensor, TfliteError, parse
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import equal_everywhere


def _data(t: Tensor) -> NDArray[Any]:
    assert t.data is not None
    return t.data


def _scales(t: Tensor) -> NDArray[np.float32]:
    assert t.quantization is not None
    return t.quantization.scale


def _layer(channel_scale: float, bias: int) -> tuple[PlainGraph, int, int]:
    """A layer of 8 channels whose third has that scale and bias: (graph, x, y)."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 16, 64)))
    y = g.linear(x, 8, std=4.0)
    (op,) = g.operators
    step = g.tensors[x].scale
    for at, unit, full in ((1, 1.0, None), (2, step, bias)):
        t = g.tensors[op.inputs[at]]
        assert t.data is not None
        assert t.quantization is not None
        scales = np.broadcast_to(t.quantization.scale, 8).astype(np.float32)
        scales[2] = channel_scale * unit
        data = t.data.copy()
        if full is not None:
            data[2] = full
        quantization = Quantization(scales, np.zeros(8, np.int64))
        g.tensors[op.inputs[at]] = dataclasses.replace(t, data=data, quantization=quantization)
    return g, x, y


@pytest.mark.parametrize("bias", [2**31 - 1, -(2**31), -(2**31) + 1, 2**31 - 100])
def test_a_bias_that_fills_32_bits_is_counted_in_larger_steps(bias: int) -> None:
    g, x, y = _layer(1e-10, bias)
    graph = parse(g.finish(y)).graph
    (op,) = graph.operators
    _, weights, sums = (graph.tensors[i] for i in op.inputs)
    old_weights, old_sums = (_data(g.tensors[i]) for i in op.inputs[1:])
    assert _data(sums)[2] == round(bias / 2)
    np.testing.assert_array_equal(np.delete(_data(sums), 2), np.delete(old_sums, 2))
    np.testing.assert_array_equal(np.delete(_data(weights), 2, 0), np.delete(old_weights, 2, 0))
    np.testing.assert_allclose(_scales(weights)[2], 2e-10, 1e-6)
    np.testing.assert_allclose(sums.real()[2], bias * 1e-10 * g.tensors[x].scale, 1e-6)


def test_such_a_channel_is_the_same_in_every_runtime() -> None:
    g, x, y = _layer(1e-10, -(2**31) + 2**25)  # LiteRT's own sums stay within 32 bits
    equal_everywhere(g, x, y)


@pytest.mark.parametrize("channels", [1, 8])
def test_weights_of_one_scale_get_one_for_each_channel(channels: int) -> None:
    """The channels that fit keep their numbers; one scale is nearly nothing, as of dead layers."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 16, 64)))
    y = g.linear(x, channels, std=4.0)
    (op,) = g.operators
    full = np.arange(channels, dtype=np.int32)
    full[-1] = -(2**31)
    units = (1e-10, 1e-10 * g.tensors[x].scale)
    for at, unit, data in ((1, units[0], None), (2, units[1], full)):
        t = g.tensors[op.inputs[at]]
        new = _data(t) if data is None else data
        quantization = Quantization.per_tensor(unit, 0)
        g.tensors[op.inputs[at]] = dataclasses.replace(t, data=new, quantization=quantization)
    graph = parse(g.finish(y)).graph
    _, weights, sums = (graph.tensors[i] for i in graph.operators[0].inputs)
    assert _data(sums)[-1] == full[-1] / 2
    np.testing.assert_array_equal(_data(sums)[:-1], full[:-1])
    np.testing.assert_array_equal(_data(weights)[:-1], _data(g.tensors[op.inputs[1]])[:-1])
    np.testing.assert_allclose(_scales(weights), [1e-10] * (channels - 1) + [2e-10], 1e-6)
    fused = plan_model(fuse_model(g.finish(y)).model_bytes).model_bytes
    (want,) = open_runtime("reference", fused).run(g.quantized(x))
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, fused).run(g.quantized(x))[0], want, name)


def test_products_that_exceed_32_bits_alone_are_refused() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 1, 2**17)))
    y = g.linear(x, 2, std=4.0)
    (op,) = g.operators
    t = g.tensors[op.inputs[1]]
    assert t.data is not None
    g.tensors[op.inputs[1]] = dataclasses.replace(t, data=np.full_like(t.data, 127))
    with pytest.raises(TfliteError, match="sums exceed 32 bits"):
        parse(g.finish(y))


@pytest.mark.parametrize("scale", [2.8e-10, 1e-12, 2.0**-26])
def test_a_softmax_without_steps_is_even(scale: float) -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 4, 10)))
    y = g.softmax(x)
    g.tensors[x] = dataclasses.replace(g.tensors[x], quantization=Quantization.per_tensor(scale, 3))
    graph = parse(g.finish(y)).graph
    assert graph.operators[0].options.beta * scale == pytest.approx(2.0**-25)
    fused = plan_model(fuse_model(g.finish(y)).model_bytes).model_bytes
    values = np.arange(-20, 20, dtype=np.int8).reshape(1, 4, 10)
    for name in ("reference", "host", "tflm"):
        (result,) = open_runtime(name, fused).run(values)
        np.testing.assert_array_equal(result, round(256 / 10) - 128, err_msg=name)
