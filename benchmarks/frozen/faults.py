# SPDX-License-Identifier: Apache-2.0
"""Networks that are accepted today and come out wrong: recorded, and expected to change.

Each is marked as a fault with what is wrong; a change of its figures is no failure of a check.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from benchmarks.frozen.plain_files import RandomState, convolution
from tests.converter.fuse.plain_graph import PlainGraph

_SEED = 1


@dataclasses.dataclass(frozen=True)
class Fault:
    """A plain file that today's code gets wrong, and how."""

    name: str
    what: str
    plain: Callable[[], bytes]


def _graph() -> PlainGraph:
    return PlainGraph(RandomState(_SEED))


def value_width() -> bytes:
    """Attention whose values are wider than its queries and keys (Keras' `value_dim`)."""
    g = _graph()
    tokens, heads, key, value, width = 9, 2, 4, 8, 12
    image = g.input(g.rng.normal(0.0, 0.5, (1, 12, 12, 1)))
    x = g.reshape(convolution(g, image, 4, 4, width), 1, tokens, width)
    x = g.add(x, g.constant(g.rng.normal(0, 0.3, (1, tokens, width))))
    h = g.layer_norm(x)
    q, k, v = (
        g.transpose(g.reshape(g.linear(h, heads * w, std), 1, tokens, heads, w), 0, 2, 1, 3)
        for w, std in ((key, 2.0), (key, 2.0), (value, 1.0))
    )
    q = g.mul(q, g.constant(np.array(key**-0.5)))
    context = g.matmul(g.softmax(g.matmul(q, k, adj_y=True)), v)
    merged = g.reshape(g.transpose(context, 0, 2, 1, 3), 1, tokens, heads * value)
    x = g.add(x, g.linear(merged, width, 0.5))
    return g.finish(g.linear(g.mean(g.layer_norm(x), 1, keep=False), 10))


def gelu_reshape() -> bytes:
    """A convolution's result in another shape, and a GELU on that."""
    g = _graph()
    image = g.input(g.rng.normal(0.0, 0.5, (1, 16, 16, 3)))
    x = g.reshape(convolution(g, image, 3, 1, 32, same=True), 1, 64, 128)
    x = g.linear(g.gelu(x), 16)
    return g.finish(g.linear(g.mean(x, 1, keep=False), 10))


FAULTS = (
    Fault(
        "value_width",
        "attention with a value width other than the key width is fused as if they were equal",
        value_width,
    ),
    Fault(
        "gelu_reshape",
        "VitGelu takes the RESHAPE before it along; TFLM refuses the fused file",
        gelu_reshape,
    ),
)
