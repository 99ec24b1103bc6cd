# SPDX-License-Identifier: Apache-2.0
"""What a schedule costs does not depend on weights and scales."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from converter import alike
from converter.alike import Alike, scheduled_as, shape_of
from converter.schedule import candidates
from tests.tflm_custom_ops import generators


def other_numbers(part: Any, rng: np.random.Generator) -> Any:
    """The same shapes with other weights, scales and zero points; not checked to be allowed."""
    if isinstance(part, np.ndarray):
        info = np.iinfo(part.dtype)
        return rng.integers(info.min, info.max, part.shape, part.dtype, endpoint=True)
    if not dataclasses.is_dataclass(part):
        return part
    fields = {f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.init}
    return dataclasses.replace(
        part,  # type: ignore[type-var]
        **{
            name: value + 1 if name in alike._NUMBERS and np.isscalar(value)
            else other_numbers(value, rng)
            for name, value in fields.items()
        },
    )  # fmt: skip


def assert_same(part: Any, other: Any) -> None:
    """The same parameters: weights, scales, schedule."""
    if isinstance(part, np.ndarray):
        np.testing.assert_array_equal(part, other, strict=True)
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            assert_same(getattr(part, field.name), getattr(other, field.name))
    else:
        assert part == other


DRAWS = (generators.any_attention, generators.any_mlp, generators.any_patch_embed)


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("seed", range(6))
def test_alike_operators_have_the_candidates_that_they_have_alone(draw: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = draw(rng)
    second = other_numbers(first, rng)
    assert shape_of(first) == shape_of(second)
    memo = Alike()
    memo.candidates(first, 5)
    got, expected = memo.candidates(second, 5), candidates(second, 5)
    assert len(memo._found) == 1
    assert [c.cost for c in got] == [c.cost for c in expected]
    for one, other in zip(got, expected, strict=True):
        assert_same(scheduled_as(second, one.op), other.op)


def test_operators_of_other_shapes_are_not_alike() -> None:
    rng = np.random.default_rng(0)
    keys = {shape_of(generators.any_mlp(rng)) for _ in range(30)}
    assert len(keys) > 20
