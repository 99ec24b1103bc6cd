# SPDX-License-Identifier: Apache-2.0
"""Whole networks, from Keras to the emulated board: every runtime gives the same int8 logits."""

import pytest

from benchmarks import equality
from benchmarks.networks import plain_model

# A family each: class token, low rank, Keras' own LayerNormalization and MultiHeadAttention,
# separate projections, uneven blocks, padded patches, a convolutional stem.
PRESETS = (
    "vit_digits",
    "test_cls",
    "test_lowrank",
    "test_keras_norm",
    "test_keras_mha",
    "test_mixed",
    "test_padding",
    "test_stem",
)


@pytest.mark.parametrize("preset", PRESETS)
def test_all_runtimes_agree(preset):
    arch, plain = plain_model(preset)
    # Each width and each way of input; one network has all of both.
    forms = [(8, False), (16, not arch.stem)]
    forms += [(8, True), (16, False)] if preset == "test_cls" else []
    for bits, streamed in forms:
        result = equality.compare(arch, plain, bits, streamed, image_count=2)
        assert result.equal, result
        assert result.ops_fused < result.ops_plain / 5 or arch.stem
        assert result.arena_bytes < result.plain_tflm_arena_bytes
        assert result.tflm_head_bytes == result.arena_bytes
