# SPDX-License-Identifier: Apache-2.0
"""Attention blocks on windows of a grid: exact relations to blocks of one window.

That C and NumPy agree on random parameters is tested with all operators (kernels/, dsp/, tflm/).
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tflm_custom_ops import generators
from tflm_custom_ops import host_library
from tflm_custom_ops.ops import OptionsError, decode, encode, run_reference
from tflm_custom_ops.ops.attention.params import BiasKind
from tflm_custom_ops.reference.softmax import MASKED


def result(op, x):
    y = run_reference(op, x)
    assert np.array_equal(host_library.run(op, x), y)
    return y


def block(rng, side, down, across, kind=BiasKind.NONE):
    """On down * across windows that are not rolled."""
    op = generators.attention(rng, tokens=side**2, embed_dim=10, heads=2, head_dim=5, rank=0)
    count = {BiasKind.NONE: 0, BiasKind.FULL: 2 * side**4, BiasKind.MASK: side**4,
             BiasKind.RELATIVE: 2 * (2 * side - 1) ** 2}[kind]  # fmt: skip
    bias = rng.integers(-3000, 3000, count).astype(np.int16) if count else None
    op = dataclasses.replace(
        op, tokens=side**2 * down * across, grid_height=side * down, grid_width=side * across,
        window=side, bias_kind=kind, bias=bias, bias_shift=2 if count else 0,
        score_multiplier=max(1 << 15, op.score_multiplier),
    )  # fmt: skip
    return op, generators.random_input(op, rng)


def full_bias(op):
    """[heads, key_tokens, key_tokens] as of its definition, element by element."""
    n, side = op.key_tokens, op.window
    if op.bias_kind is not BiasKind.RELATIVE:
        planes = np.zeros((1, n, n)) if op.bias is None else op.bias.reshape(-1, n, n)
        return np.broadcast_to(planes, (op.heads, n, n)).astype(np.int16)
    table = op.bias.reshape(op.heads, 2 * side - 1, 2 * side - 1)
    bias = np.empty((op.heads, n, n), np.int16)
    for i in range(n):
        for j in range(n):
            down, right = j // side - i // side, j % side - i % side
            bias[:, i, j] = table[:, down + side - 1, right + side - 1]
    return bias


def swin_mask(op):
    """Whether tokens see each other, [windows, key_tokens, key_tokens], as Swin's code has it."""
    shift, regions = op.window_shift, np.zeros((op.grid_height, op.grid_width))
    parts = (slice(0, -op.window), slice(-op.window, -shift), slice(-shift, None))
    for number, (rows, columns) in enumerate((r, c) for r in parts for c in parts):
        regions[rows, columns] = number
    regions = cut(op, regions.reshape(-1, 1))[..., 0]
    return regions[:, :, None] == regions[:, None, :]


def cut(op, grid):
    """Windows of [tokens, width] of a grid that is not rolled."""
    side, width = op.window, grid.shape[1]
    rows, columns = op.grid_height // side, op.grid_width // side
    grid = grid.reshape(rows, side, columns, side, width).swapaxes(1, 2)
    return grid.reshape(rows * columns, side**2, width)


def by_windows(op, x):
    """The block's result from one of plain attention for each window."""
    rolled = x.reshape(op.grid_height, op.grid_width, -1)
    rolled = np.roll(rolled, (-op.window_shift, -op.window_shift), (0, 1)).reshape(x.shape)
    numbers = cut(op, np.arange(op.tokens).reshape(-1, 1))[..., 0]
    sees = np.ones((len(numbers), op.key_tokens, op.key_tokens), bool)
    if op.window_shift:
        sees = swin_mask(op)
    y = np.empty_like(rolled)
    for tokens, seen in zip(numbers, sees, strict=True):
        bias = np.where(seen, full_bias(op), np.int16(MASKED))
        one = dataclasses.replace(
            op, tokens=op.key_tokens, window=0, window_shift=0, grid_height=0, grid_width=0,
            bias_kind=BiasKind.FULL, bias=bias,
        )  # fmt: skip
        y[tokens] = result(one, rolled[tokens])
    y = y.reshape(op.grid_height, op.grid_width, -1)
    return np.roll(y, (op.window_shift, op.window_shift), (0, 1)).reshape(x.shape)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    side=st.integers(1, 4),
    down=st.integers(1, 3),
    across=st.integers(1, 3),
    kind=st.sampled_from([BiasKind.NONE, BiasKind.FULL, BiasKind.RELATIVE, BiasKind.MASK]),
    shift=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_windows_are_blocks_of_their_own(side, down, across, kind, shift, seed):
    rng = np.random.default_rng(seed)
    op, x = block(rng, side, down, across, kind)
    op = dataclasses.replace(op, window_shift=shift % side)
    assert np.array_equal(result(op, x), by_windows(op, x))


def test_a_roll_changes_what_tokens_see():
    op, x = block(np.random.default_rng(1), 4, 2, 2)
    rolled = dataclasses.replace(op, window_shift=2)
    assert not np.array_equal(run_reference(rolled, x), run_reference(op, x))


def test_keys_and_values_are_those_of_one_window():
    """16 windows take as much scratch as 4, which is less than attention of all tokens takes."""
    few, many = (block(np.random.default_rng(2), 4, n, n)[0] for n in (2, 4))
    plain = dataclasses.replace(
        few, window=0, grid_height=0, grid_width=0, key_tokens=few.tokens,
        exp_table=generators.exp_table(few.tokens),
    )  # fmt: skip
    sizes = [host_library.library().parse(op).scratch_bytes for op in (few, many, plain)]
    assert sizes[0] == sizes[1] < sizes[2]


WRONG = [
    ("grid_width", 6, "grid_width"),  # no multiple of 4
    ("window_shift", 4, "window_shift"),
    ("key_tokens", 15, "key_tokens"),
    ("causal", True, "causal"),
    ("tokens", 36, "tokens"),
]


@pytest.mark.parametrize(("field", "value", "named"), WRONG)
def test_what_is_no_window_of_a_grid_is_refused(field, value, named):
    op, _ = block(np.random.default_rng(3), 4, 2, 2, BiasKind.RELATIVE)
    assert decode(*encode(op)).bias_count == op.bias.size
    with pytest.raises(OptionsError, match=named):
        decode(*encode(dataclasses.replace(op, **{field: value})))


@pytest.mark.parametrize("kind", [BiasKind.FULL, BiasKind.RELATIVE, BiasKind.MASK])
def test_a_bias_of_another_size_is_refused(kind):
    op, _ = block(np.random.default_rng(4), 3, 2, 1, kind)
    with pytest.raises(OptionsError, match="bias_count"):
        decode(*encode(dataclasses.replace(op, bias=op.bias[1:])))
