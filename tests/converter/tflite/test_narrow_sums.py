# SPDX-License-Identifier: Apache-2.0
"""A mask of -1e9, whose 1 - mask has no step but 0: read, and given its steps again."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import TfliteError, parse
from tests.converter.runtimes.edges import Edges

_MASK = (1 / 255, -128)
_COARSE = (1e9 / 255, 127)


def _masked(own: bool = False) -> bytes:
    """softmax(x + (1 - mask) * -1e9) as TensorFlow quantizes it; `own`: 1 - mask is an input."""
    g = Edges()
    shape = (1, 2, 6)
    x = g.x(shape, np.int8, (0.02, 3))
    mask = g.x((1, 1, 6), np.int8, _COARSE if own else _MASK)
    one = g.tensor((), np.int8, _MASK, np.array(127, np.int8))
    far = g.tensor((), np.int8, _COARSE, np.array(-128, np.int8))
    no = "fusedActivationFunction"
    rest = mask
    if not own:
        rest = g.op("SUB", (one, mask), (1, 1, 6), np.int8, _COARSE, "SubOptions", **{no: 0})
    hidden = g.op("MUL", (rest, far), (1, 1, 6), np.int8, _COARSE, "MulOptions", **{no: 0})
    scores = g.op("ADD", (x, hidden), shape, np.int8, _COARSE, "AddOptions", **{no: 0})
    y = g.op("SOFTMAX", (scores,), shape, np.int8, (1 / 256, -128), "SoftmaxOptions", beta=1.0)
    return g.content(y)


def test_it_hides_in_every_runtime() -> None:
    content = plan_model(fuse_model(_masked()).model_bytes).model_bytes
    x = np.arange(-60, 60, 10, dtype=np.int8).reshape(1, 2, 6)
    mask = np.array([[[127, 127, 127, 127, -128, -128]]], np.int8)
    real = np.exp(0.02 * (x.astype(float) - 3)) * (mask > 0)
    want = real / real.sum(-1, keepdims=True)
    for name in ("reference", "host", "tflm"):
        (got,) = open_runtime(name, content).run(x, mask)
        np.testing.assert_allclose((got + 128.0) / 256, want, atol=0.02, err_msg=name)
        assert np.all(got[..., 4:] == -128), name


def test_a_product_that_may_leave_32_bits_is_refused() -> None:
    assert parse(_masked()).graph.operators[1].opcode == "MUL"
    with pytest.raises(TfliteError, match=r"\(MUL\): .*scale too small for results"):
        parse(_masked(own=True))
