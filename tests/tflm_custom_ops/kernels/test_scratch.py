# SPDX-License-Identifier: Apache-2.0
"""scratch.py equals the C functions, and the preset networks keep their budgets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.tflm_custom_ops import generators
from tflm_custom_ops import host_library
from tflm_custom_ops.host_library import HostLibrary, aligned_bytes
from tflm_custom_ops.ops import OpKind, PatchEmbed, operator_of, residual_dtype, run_reference
from tflm_custom_ops.ops.attention.operator import weightless
from tflm_custom_ops.ops.scratch import ALIGNMENT


@pytest.fixture(scope="module")
def library() -> HostLibrary:
    return host_library.library()


@pytest.mark.parametrize("kind", list(OpKind), ids=lambda kind: kind.name)
def test_equals_c(kind: OpKind, library: HostLibrary) -> None:
    for seed in range(400):
        rng = np.random.default_rng(seed)
        op = generators.random_op(kind, rng)
        for _ in range(3):
            parsed = library.parse(op)
            assert parsed.scratch_bytes == operator_of(op).scratch_bytes, f"seed {seed}"
            assert parsed.scratch_bytes % ALIGNMENT == 0
            op = generators.with_schedule(op, rng)


@dataclasses.dataclass(frozen=True)
class Budget:
    """Token tile and arena bytes (tokens + scratch) of an attention block over 225 tokens."""

    embed_dim: int
    heads: int
    bits: int
    at_a_time: int
    arena: int


BUDGETS = {
    "vit_t_240 int8, all heads": Budget(192, 3, 8, 3, 145_000),
    "vit_t_240 int8, one head": Budget(192, 3, 8, 1, 115_000),
    "vit_t_240 int16, all heads": Budget(192, 3, 16, 3, 187_000),
    "mcuformer_t_max int8, all heads": Budget(216, 4, 8, 4, 180_000),
    "mcuformer_t_max int8, one head": Budget(216, 4, 8, 1, 135_000),
    "vit_s_240 int8, all heads": Budget(384, 6, 8, 6, 280_000),
    "vit_s_240 int8, one head": Budget(384, 6, 8, 1, 230_000),
}


@pytest.mark.parametrize("name", BUDGETS)
def test_attention_budget(name: str, library: HostLibrary) -> None:
    b = BUDGETS[name]
    op = generators.attention(
        np.random.default_rng(1),
        tokens=225,
        embed_dim=b.embed_dim,
        heads=b.heads,
        head_dim=64,
        rank=0,
        bits=b.bits,
    )
    op = dataclasses.replace(op, token_tile=6, heads_at_a_time=b.at_a_time)
    arena = 225 * b.embed_dim * b.bits // 8 + library.parse(op).scratch_bytes
    assert arena <= b.arena


@pytest.mark.parametrize(
    ("tokens", "tile", "at_a_time", "rows"),
    [
        (225, 46, 3, 8),  # 8 KB
        (225, 8, 3, 4),  # the exponentials of 8 queries
        (17, 17, 3, 4),  # of 18, as widened queries are 64 wide
        (68, 17, 3, 8),
        (17, 4, 3, 2),
        (17, 1, 3, 2),  # never less than a group
        (64, 16, 1, 16),  # 16 rows of 192 features are larger than their exponentials
    ],
)
def test_scores_at_a_time(tokens: int, tile: int, at_a_time: int, rows: int) -> None:
    op = weightless(tokens, 192, 3, 64)
    op = dataclasses.replace(op, token_tile=tile, heads_at_a_time=at_a_time)
    assert operator_of(op).score_rows == rows


def embed_over_image(library: HostLibrary, op: PatchEmbed, image: np.ndarray, margin: int):
    """Tokens written `margin` bytes before the image, over it."""
    parsed = library.parse(op)
    dtype = residual_dtype(op.output_bits)
    size = op.tokens * op.embed_dim * op.output_bits // 8
    arena = aligned_bytes(max(margin + image.nbytes, size))
    arena[margin : margin + image.nbytes] = image.view(np.uint8).ravel()
    source = arena[margin : margin + image.nbytes]
    library.call(parsed, [source], arena, aligned_bytes(parsed.scratch_bytes))
    return arena[:size].view(dtype).reshape(op.tokens, op.embed_dim)


@pytest.mark.parametrize("patch", [16, 20, 24, 28, 32])
@pytest.mark.parametrize("bits", [8, 16])
def test_tokens_over_a_240_pixel_image(patch: int, bits: int, library: HostLibrary) -> None:
    rng = np.random.default_rng(patch)
    op = generators.patch_embed(
        rng,
        embed_dim=192,
        patch=patch,
        grid=240 // patch,
        channels=3,
        stride=patch,
        pad=0,
        bits=bits,
    )
    image = generators.random_input(op, rng)
    margin = operator_of(op).overwrite_margin
    assert margin <= 192 * bits // 8 * (240 // patch + 1)  # one strip of tokens, and the class
    assert np.array_equal(embed_over_image(library, op, image, margin), run_reference(op, image))


def test_margin_is_enough_and_not_generous(library: HostLibrary) -> None:
    spoiled = tested = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        op = generators.patch_embed(rng)
        image = generators.random_input(op, rng)
        expected = run_reference(op, image)
        margin = operator_of(op).overwrite_margin
        assert np.array_equal(embed_over_image(library, op, image, margin), expected), seed
        op = dataclasses.replace(op, patch_tile=2)  # the tile that asks for the most
        assert np.array_equal(embed_over_image(library, op, image, margin), expected), seed
        if margin:
            tested += 1
            less = embed_over_image(library, op, image, margin - 1)
            spoiled += not np.array_equal(less, expected)
    # One byte less overwrites a pixel too early (which may not matter: equal bytes, weight 0).
    assert spoiled > tested * 0.7
