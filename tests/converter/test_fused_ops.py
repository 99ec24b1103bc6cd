# SPDX-License-Identifier: Apache-2.0
"""Fused operators of a graph are read in time that grows with their number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converter.fused_ops import decoded, decoded_all
from converter.runtimes.tflm.op_models import Activation, chain, custom_op
from converter.tflite import Graph, TfliteError
from tests.tflm_custom_ops import generators


class NotSearched(tuple):  # type: ignore[type-arg]
    """Operators that may be gone through, but not looked for."""

    def __contains__(self, key: object) -> bool:
        raise AssertionError("looked for an operator")

    def index(self, *args: Any) -> int:
        raise AssertionError("looked for an operator")


def graph() -> Graph:
    gelu = generators.gelu(np.random.default_rng(0))
    x = Activation((1, 77))
    return chain(x, [custom_op(gelu, x)] * 5).graph


def test_operators_are_not_looked_up() -> None:
    g = graph()
    object.__setattr__(g, "operators", NotSearched(g.operators))
    assert len([op for op in decoded_all(g) if op is not None]) == 5


def test_an_error_says_which_it_is() -> None:
    g = graph()
    object.__setattr__(g.operators[3], "custom_options", b"")
    with pytest.raises(TfliteError, match=r"^operator 3 VitGelu: options: got 0 bytes"):
        decoded(g, g.operators[3])
