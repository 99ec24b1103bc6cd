# SPDX-License-Identifier: Apache-2.0
"""Texts through convolutions: along one line whatever the square, in every runtime the same."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.contract import Contract, with_contract
from converter.evaluate.evaluation import ends_of
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.plan.weightless import weightless_graph
from converter.qat.network import QatError
from converter.qat.train import expect_trainable
from converter.quantize.ptq import quantize
from converter.runtimes import open_runtime
from converter.tflite import parse, serialize
from keras_models.load import resolve_arch
from keras_models.parts import ArchError, StemLayer
from keras_models.staged import StagedConfig
from keras_models.stages import AttentionStage, ConvStage
from keras_models.tasks import TASKS
from keras_models.vit import build_vit, random_weights, weight_name

BYTES = StagedConfig(
    name="line", image_size=4, channels=1, num_classes=5, vocabulary=256, embed_dim=6,
    embedding_rank=3,
    stages=(ConvStage("residual", 6), ConvStage("residual", 8, 2, 2), ConvStage("separable", 5)),
)  # fmt: skip
PIECES = BYTES.replace(
    channels=2, vocabulary=600, embedding_rank=0, rare_from=300, rare_rank=2,
    stages=(ConvStage("residual", 8, 2, 4, weight_bits=(8, 4)),),
)  # fmt: skip


def squares(arch: StagedConfig, count: int, seed: int = 0) -> Any:
    """Texts less 128, float32 (count, side, side, channels), of tokens that the vocabulary has."""
    ids = np.random.default_rng(seed).integers(0, arch.vocabulary, (count, arch.image_size**2))
    values = ids.astype("<u2").view(np.uint8).reshape(count, -1, 2)[..., : arch.channels]
    shape = (count, arch.image_size, arch.image_size, arch.channels)
    return values.reshape(shape).astype(np.float32) - 128.0


# ---- networks ------------------------------------------------------------------------------------


@st.composite
def lines(draw: st.DrawFn) -> StagedConfig:
    """Small networks of texts, of bytes or sub-words."""
    side, rank = draw(st.integers(1, 6)), draw(st.integers(0, 3))
    length, stages = side**2, []
    for _ in range(draw(st.integers(1, 3))):
        stride = draw(st.sampled_from([s for s in (1, 2, 3) if length % s == 0]))
        blocks = draw(st.sampled_from(["residual", "separable"]))
        stages.append(ConvStage(blocks, draw(st.integers(1, 9)), draw(st.integers(1, 2)), stride))
        length //= stride
    pieces = draw(st.booleans())
    rare_from = draw(st.sampled_from([0, 100]))
    return StagedConfig(
        image_size=side,
        channels=2 if pieces else 1,
        num_classes=3,
        vocabulary=300 if pieces else 256,
        embed_dim=draw(st.integers(3, 8)),
        embedding_rank=rank,
        rare_from=rare_from,
        rare_rank=2 if rare_from else 0,
        stages=tuple(stages),
    )


@given(lines())
@settings(max_examples=50, deadline=None)
def test_json_round_trip(arch: StagedConfig) -> None:
    assert StagedConfig.from_json(arch.to_json()) == arch


@given(lines())
@settings(max_examples=5, deadline=None)
def test_sizes_are_the_models(arch: StagedConfig) -> None:
    model = build_vit(arch)
    assert sum(math.prod(w.shape) for w in model.trainable_weights) == arch.params
    assert model.output_shape == (None, *arch.output_shape)
    macs = 0
    for layer in model.layers:
        kernels = [w for w in layer.weights if weight_name(w).endswith("/kernel")]
        for kernel in kernels:  # each weight once for each place of the output
            macs += math.prod(layer.output.shape[1:-1]) * math.prod(kernel.shape)
    assert macs == arch.macs


def along(x: Any, kernel: Any, stride: int) -> Any:
    """`same` convolution of (length, inputs) with (taps, inputs, outputs), in float64."""
    taps, length = kernel.shape[0], -(-len(x) // stride)
    before = max(0, (length - 1) * stride + taps - len(x)) // 2
    padded = np.pad(x, ((before, taps), (0, 0)))
    span = stride * (length - 1) + 1
    return sum(padded[tap : tap + span : stride] @ kernel[tap] for tap in range(taps))


def test_a_text_is_one_line_against_numpy() -> None:
    """A row of the square goes on in the next one."""
    model = random_weights(build_vit(BYTES), seed=3)
    weights = {weight_name(w): np.asarray(w, np.float64) for w in model.weights}

    def layer(x: Any, name: str, stride: int = 1) -> Any:
        kernel = weights[f"{name}_conv/kernel"]
        assert kernel.shape[0] == 1
        if name.endswith("_depth"):
            kernel = kernel[..., 0][..., None] * np.eye(kernel.shape[2])
        deviation = np.sqrt(weights[f"{name}_bn/moving_variance"] + 1e-3)
        centred = along(x, kernel[0], stride) - weights[f"{name}_bn/moving_mean"]
        return centred / deviation * weights[f"{name}_bn/gamma"] + weights[f"{name}_bn/beta"]

    def block(x: Any, name: str, stride: int, short: bool) -> Any:
        y = np.maximum(layer(x, f"{name}_a", stride), 0)
        other = layer(x, f"{name}_short", stride) if short else x
        return np.maximum(other + layer(y, f"{name}_b"), 0)

    texts = squares(BYTES, 3)
    for text, got in zip(texts, np.asarray(model(texts)), strict=True):
        rows = weights["bytes/embeddings"][text.ravel().astype(int) + 128]
        x = rows @ weights["bytes_up/kernel"] + weights["bytes_up/bias"]
        x = block(x, "stage0_block0", 1, False)
        x = block(x, "stage1_block0", 2, True)
        x = block(x, "stage1_block1", 1, False)
        for name in ("depth", "point"):
            x = np.maximum(layer(x, f"stage2_block0_{name}"), 0)
        assert x.shape == (8, 5)
        logits = x.mean(0) @ weights["head/kernel"] + weights["head/bias"]
        np.testing.assert_allclose(got, logits, atol=2e-5)


def test_what_such_a_network_cannot_have() -> None:
    attention = AttentionStage.uniform(width=6, depth=1, heads=1)
    for changes, message in (
        ({"channels": 2}, "channels: got 2, expected 1 with a vocabulary"),
        ({"vocabulary": 600}, "channels: got 1, expected 2 with a vocabulary"),
        ({"vocabulary": 100}, "vocabulary: got 100, expected 0"),
        ({"stem": (StemLayer(3, 1, 6),)}, r"stem: got .* expected \(\) with a vocabulary"),
        ({"dense": 2}, "dense: got 2, expected 0 with a vocabulary"),
        ({"question": 3, "hidden": 4}, "question: got 3, expected 0 with a vocabulary"),
        ({"stages": (attention,)}, "got 'attention', expected convolutions only, with a vocab"),
        ({"embed_dim": 0}, "embed_dim: got 0, expected an integer from 1"),
        ({"embedding_rank": 7}, "embedding_rank: got 7, expected an integer from 0 to 6"),
        ({"rare_from": 9}, "rare_rank: got 0, expected a rank with rare_from"),
        ({"stages": (ConvStage("residual", 6, 1, 3),)}, r"stages\[0\]\.stride: got 3"),
        ({"vocabulary": 0}, "embed_dim: got 6, expected 0 without a vocabulary"),
    ):
        with pytest.raises(ArchError, match=message):
            BYTES.replace(**changes)
    with pytest.raises(ArchError, match="'line' has a vocabulary, expected a classifier of pict"):
        weightless_graph(BYTES)
    with pytest.raises(QatError, match="'line' has a vocabulary, whose rounding is not trained"):
        expect_trainable(BYTES)
    of_pictures = json.loads(resolve_arch("hybrid_32").to_json())
    assert of_pictures.keys().isdisjoint({"vocabulary", "embed_dim", "rare_from"})


@pytest.mark.parametrize("name", ["language_36", "topic_144", "language_pieces_16",
                                  "topic_pieces_36"])  # fmt: skip
def test_presets_are_as_large_as_those_with_attention(name: str) -> None:
    kind, _, size = name.rpartition("_")
    attention, convolved = resolve_arch(name), resolve_arch(f"{kind}_cnn_{size}")
    assert isinstance(convolved, StagedConfig)
    assert convolved.token_tables == attention.token_tables
    assert convolved.input_shapes == attention.input_shapes
    assert convolved.params == pytest.approx(attention.params, rel=0.05)


# ---- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", [BYTES, PIECES], ids=["bytes", "pieces"])
def test_every_runtime_says_the_same(arch: StagedConfig) -> None:
    model = random_weights(build_vit(arch), 0)
    texts = squares(arch, 32)
    plain = parse(quantize(model, arch, texts))
    contract = Contract(arch.normalization, class_names=tuple("vwxyz"), task=TASKS["language"])
    content = plan_model(fuse_model(serialize(with_contract(plain, contract))).model_bytes)
    planned = content.model_bytes
    operators = [op.name for op in parse(planned).graph.operators]
    layers = sum(len(c) for s, source in arch.walk() for c in s.convolutions(source))
    assert sum(name.endswith("CONV_2D") for name in operators) == layers
    given = texts.astype(np.int8)[:8, None]
    host, tflm = (open_runtime(n, planned).run_batch(given)[0] for n in ("host", "tflm"))
    np.testing.assert_array_equal(host, tflm)
    (once,) = open_runtime("reference", planned).run(given[3])
    np.testing.assert_array_equal(host[3], once)
    real = ends_of(planned).dequantize(host.reshape(8, -1))
    float_ = np.asarray(model(texts[:8]))
    assert np.abs(real - float_).max() < 0.1 * np.abs(float_).max()
