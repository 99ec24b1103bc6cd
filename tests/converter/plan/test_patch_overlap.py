# SPDX-License-Identifier: Apache-2.0
"""The margin between tokens and image is safe and minimal, checked byte by byte."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.plan.patch_overlap import is_safe
from tflm_custom_ops.ops import Linear, PatchEmbed, operator_of


def patch_embed(
    side=240, channels=3, patch=16, stride=None, pad=0, dim=192, bits=8, cls=False
) -> PatchEmbed:
    stride = stride or patch
    grid = (side + 2 * pad - patch) // stride + 1
    zeros = np.zeros((dim, 1), np.int8)
    linear = Linear(zeros, np.zeros(dim, np.int32), np.zeros(dim, np.int32))
    row = np.zeros(dim, np.int8) if cls else None
    return PatchEmbed(
        *(side, side, channels, patch, patch, stride, stride, pad, pad, grid, grid, dim),
        *(0, bits, row, None, 0, 0, 0, linear),
    )


SPACES = [(16, 0), (20, 0), (24, 0), (28, 6), (32, 8)]  # patch and padding at 240 pixels


@pytest.mark.parametrize(("patch", "pad"), SPACES)
@pytest.mark.parametrize("dim", [168, 192, 216, 448, 624])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("cls", [False, True])
def test_margin_of_the_search_spaces(patch, pad, dim, bits, cls):
    op = patch_embed(patch=patch, pad=pad, dim=dim, bits=bits, cls=cls)
    margin = operator_of(op).overwrite_margin
    assert is_safe(op, margin)
    assert is_safe(op, margin + 1000)
    assert margin == 0 or not is_safe(op, margin - 1)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_margin_of_any_geometry(data):
    side = data.draw(st.integers(4, 24))
    patch = data.draw(st.integers(1, side))
    op = patch_embed(
        side=side,
        channels=data.draw(st.integers(1, 3)),
        patch=patch,
        stride=data.draw(st.integers(1, patch)),
        pad=data.draw(st.integers(0, patch - 1)),
        dim=data.draw(st.integers(1, 80)),
        bits=data.draw(st.sampled_from([8, 16])),
        cls=data.draw(st.booleans()),
    )
    op = dataclasses.replace(op, planes=data.draw(st.booleans()))
    margin = operator_of(op).overwrite_margin
    assert is_safe(op, margin)
    assert margin == 0 or not is_safe(op, margin - 1)
    assert is_safe(op, margin, group=2 * data.draw(st.integers(1, 13)))  # any tile of the schedule


def test_the_check_sees_how_many_patches_the_kernel_reads_before_it_writes():
    op = patch_embed()
    less = operator_of(op).overwrite_margin - 1
    assert not is_safe(op, less, group=2)
    assert is_safe(op, less, group=4)
    assert is_safe(op, 0, group=16)  # a strip of 15 at once


@pytest.mark.parametrize(("patch", "pad"), SPACES)
def test_strip_is_one_patch_high(patch, pad):
    assert operator_of(patch_embed(patch=patch, pad=pad)).streaming.strip_bytes == patch * 240 * 3
