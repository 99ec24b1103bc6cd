# SPDX-License-Identifier: Apache-2.0
"""Quantization-aware training: what it rounds, and that its ranges arrive unchanged."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.evaluate.evaluation import ends_of
from converter.evaluate.metrics import sqnr_db
from converter.fuse import fuse_model
from converter.fuse.arithmetic import Range
from converter.fuse.op_semantics import gelu
from converter.quantize.calibration import RangeChoice
from converter.quantize.ptq import QuantizeError
from converter.runtimes.reference import GraphInterpreter
from converter.tflite import parse
from converter.weight_bits.fused import round_file
from converter.weight_bits.pipeline import RoundingMethod
from converter.weight_bits.rounding import fitted_scale
from converter.weight_bits.wanted import WeightBits
from keras_models.arch import ArchConfig, BlockRanks, StemLayer
from keras_models.datasets import Dataset, load_dataset
from keras_models.staged import Architecture, StagedConfig
from keras_models.stages import AttentionStage, ConvStage
from tflm_custom_ops.ops import Attention, LayerNorm, Mlp, PatchEmbed
from tflm_vit.stderr import captured_stderr

with captured_stderr():
    from converter.qat.configs import ChannelQuantizer, Scheme
    from converter.qat.fold import fold
    from converter.qat.network import (
        InputRounding,
        LayerRange,
        QatError,
        export_twin,
        float_twin,
        float_weights,
        initial_ranges,
        quantized_twin,
        rounded_weights,
    )
    from converter.qat.train import (
        CHECKPOINT_FILE,
        QatRecipe,
        QatResult,
        discard_checkpoint,
        quantize_aware,
    )
    from keras_models.training.checkpoint import CheckpointError, save_checkpoint
    from keras_models.vit import build_vit, random_weights, weight_name

ARCH = ArchConfig.uniform(
    name="vit_digits", image_size=8, channels=1, num_classes=10, patch_size=2, embed_dim=16,
    depth=1, heads=2, head_dim=8, mlp_ratio=2.0,
)  # fmt: skip
# As hybrid_32, and a separable stage.
STAGED = StagedConfig(
    name="vit_digits", image_size=8, channels=1, num_classes=10,
    stem=(StemLayer(3, 1, 6, "relu", True),),
    stages=(
        ConvStage("residual", width=8, depth=2, stride=2),
        ConvStage("separable", width=12),
        AttentionStage.uniform(
            width=12, depth=1, heads=2, head_dim=6, mlp_ratio=2.0, position=True
        ),
    ),
)  # fmt: skip
LINEAR = ("FULLY_CONNECTED", "CONV_2D")


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Digits, cut down: 320 training images."""
    whole = load_dataset("digits", image_size=8, channels=1)
    return Dataset(
        whole.name, whole.class_names, 8, 1, whole.train.take(320, 0), whole.validation, whole.test
    )


@pytest.fixture(scope="module")
def images(data: Dataset) -> np.ndarray[Any, Any]:
    return data.train.take(32, 1).arrays()[0]


@pytest.fixture(scope="module")
def model() -> Any:
    return random_weights(build_vit(ARCH), 1)


_CHOSEN = ("residual_bits", "weight_bits", "small_blocks")  # of the recipe


def train(model: Any, data: Dataset, images: Any, **options: Any) -> QatResult:
    """At a rate at which a few steps are no noise: three steps an epoch at the recipe's are."""
    arch = options.pop("arch", ARCH)
    chosen = {name: options.pop(name) for name in _CHOSEN if name in options}
    recipe = QatRecipe(epochs=2, learning_rate=1e-2, **chosen)
    return quantize_aware(model, arch, data, images, recipe, **options)


@dataclasses.dataclass(frozen=True)
class Trained:
    """A result, and the network with rounding that it was made from."""

    result: QatResult
    student: Any


def train_and_keep(
    model: Any, data: Dataset, images: Any, residual_bits: int, arch: Architecture = ARCH,
    **options: Any,
) -> Trained:  # fmt: skip
    students = []

    def spy(student: Any, folded: Architecture) -> Any:
        students.append(student)
        return export_twin(student, folded)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("converter.qat.train.export_twin", spy)
        result = train(model, data, images, residual_bits=residual_bits, arch=arch, **options)
    return Trained(result, students[0])


@pytest.fixture(scope="module")
def kept(model: Any, data: Dataset, images: Any) -> Trained:
    return train_and_keep(model, data, images, 8)


@pytest.fixture(scope="module")
def trained(kept: Trained) -> QatResult:
    return kept.result


# ---- folding -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"pool": "cls", "attention": "separate"},
        {"attention": "keras", "norm": "keras"},
        {"ranks": (BlockRanks(qkv=4, proj=3, fc1=5, fc2=6),)},
        {"stem": (StemLayer(3, 1, 6, "relu", True), StemLayer(3, 2, 8, "gelu"))},
    ],
)
def test_folding_keeps_the_function(change: dict[str, Any]) -> None:
    expect_folded(ARCH.replace(**change))


def test_folding_keeps_the_function_of_stages() -> None:
    expect_folded(STAGED)
    ends = dataclasses.replace(STAGED, stages=STAGED.stages[:2])  # in convolutions: no last norm
    expect_folded(ends)


def expect_folded(arch: Architecture) -> None:
    network = random_weights(build_vit(arch), 3)
    folded = fold(network, arch)
    assert not any(layer.batch_norm for layer in folded.arch.stem)
    assert not any("_bn/" in name for name in folded.weights)
    pictures = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 1)).astype(np.float32)
    expected = np.asarray(network(pictures, training=False))
    assert np.abs(float_twin(folded)(pictures).numpy() - expected).max() < 1e-4
    gammas = [v for k, v in folded.weights.items() if k.endswith("gamma")]
    assert all(np.all(v == 1.0) for v in gammas)


# ---- ranges and weights in the files -------------------------------------------------------------


def activation_types(content: bytes) -> set[tuple[np.float32, int]]:
    graph = parse(content).graph
    return {
        (t.quantization.scale[0], t.zero_point)
        for t in graph.tensors
        if not t.is_constant and t.dtype == np.int8
    }


def has(types: set[tuple[np.float32, int]], entry: LayerRange) -> bool:
    scale, zero_point = entry.int8()
    return any(abs(s / scale - 1) < 2e-7 and z == zero_point for s, z in types)


def test_every_range_is_in_the_plain_file(trained: QatResult) -> None:
    types = activation_types(trained.plain)
    assert len(trained.ranges) == 1 + 8 * ARCH.depth + 3
    assert [r.layer for r in trained.ranges if not has(types, r)] == []
    moved = LayerRange("x", 8, trained.ranges[3].low * 1.001, trained.ranges[3].high * 1.001)
    assert not has(types, moved)  # the comparison can tell


def test_input_is_rounded_as_in_the_file(trained: QatResult, images: Any, data: Dataset) -> None:
    ends, rounding = ends_of(trained.plain), InputRounding.of(images)
    assert (rounding.ends.input_scale, rounding.ends.input_zero_point) == (
        ends.input_scale, ends.input_zero_point,
    )  # fmt: skip
    pictures, _ = data.test.take(8, 0).arrays()  # bytes: every value is a tie
    assert np.array_equal(rounding.ends.quantize(pictures), ends.quantize(pictures))


def by_layer(result: QatResult) -> dict[str, Range]:
    return {r.layer: Range(*r.int8()) for r in result.ranges}


def test_ranges_are_unchanged_in_the_fused_file(trained: QatResult) -> None:
    fused = GraphInterpreter(fuse_model(trained.plain, 8).model_bytes)
    ops, graph = list(fused.fused.values()), fused.model.graph
    assert [type(op) for op in ops[:-1]] == [PatchEmbed, *[Attention, Mlp] * ARCH.depth, LayerNorm]
    types = by_layer(trained)
    tokens = [graph.tensors[op.outputs[0]] for op in graph.operators[:-1]]
    names = ["embedding", "block0_add1", "block0_add2", "pool"]
    for tensor, name in zip(tokens, names, strict=True):
        assert tensor.scale == pytest.approx(types[name].scale, rel=2e-7)
        assert tensor.zero_point == types[name].zero_point
    for block in range(ARCH.depth):
        attention, mlp = ops[1 + 2 * block], ops[2 + 2 * block]
        assert isinstance(attention, Attention)
        assert isinstance(mlp, Mlp)
        check_attention(attention, types, f"block{block}")
        check_mlp(mlp, types, f"block{block}")


def check_attention(op: Attention, types: dict[str, Range], name: str) -> None:
    """The integers of docs/operators.md, from the ranges that training ended with."""
    h, qkv, c = (types[f"{name}_{part}"] for part in ("norm1", "qkv", "sdpa"))
    assert np.all(op.norm.gamma == np.floor(2**18 / h.scale + 0.5)) or np.allclose(
        op.norm.gamma, 2**18 / h.scale, rtol=1e-6
    )
    assert {p.up.out_zero_point for p in (op.q, op.k, op.v)} == {qkv.zero_point}
    assert op.context_zero_point == c.zero_point
    assert op.context_numerator == pytest.approx(qkv.scale / c.scale * 2**48, rel=1e-6)
    exponent = np.log2(np.e) * qkv.scale**2 * ARCH.head_dim**-0.5 * 256
    stored = op.score_multiplier * 2.0 ** (op.score_shift - 32)
    assert stored == pytest.approx(exponent, rel=1e-4)  # the plain graph's 1/sqrt(dh) is int8


def check_mlp(op: Mlp, types: dict[str, Range], name: str) -> None:
    h, f, a = (types[f"{name}_{part}"] for part in ("norm2", "fc1", "act"))
    assert np.allclose(op.norm.gamma, 2**18 / h.scale, rtol=1e-6)
    assert op.fc1.up.out_zero_point == f.zero_point
    expected = a.quantize(gelu(f.scale * (np.arange(-128, 128) - f.zero_point), False))
    assert np.array_equal(op.lut, expected)


def test_weights_are_the_rounded_ones(kept: Trained) -> None:
    """The converter rounds what is rounded: integers and scales stay."""
    graph = parse(kept.result.plain).graph
    stored = [graph.tensors[op.inputs[1]].real() for op in graph.operators if op.opcode in LINEAR]
    rounded = rounded_weights(kept.student)
    for name in ("block0_qkv", "block0_fc1", "block0_fc2", "head"):
        kernel = rounded[f"{name}/kernel"].T
        assert any(w.shape == kernel.shape and np.allclose(w, kernel, atol=1e-6) for w in stored)


def test_positions_are_the_rounded_ones(kept: Trained) -> None:
    positions = rounded_weights(kept.student)["embedding/position"].reshape(-1)
    assert not np.allclose(positions, float_weights(kept.student)["embedding/position"].reshape(-1))
    constants = [t for t in parse(kept.result.plain).graph.tensors if t.is_constant]
    stored = [t.real().reshape(-1) for t in constants if t.size == positions.size]
    assert any(np.allclose(values, positions, atol=1e-6) for values in stored)


def agreement_db(
    kept: Trained, data: Dataset, bits: int, arch: Architecture = ARCH
) -> tuple[float, float]:
    """SQNR of the fused file's logits against the trained network's, with and without rounding."""
    pictures, _ = data.test.take(48, 0).arrays()
    rounding = InputRounding.of(data.train.take(32, 1).arrays()[0])
    simulated = kept.student(rounding(pictures), training=False).numpy()
    unrounded = build_vit(arch)
    values = float_weights(kept.student)
    unrounded.set_weights([values[weight_name(w)] for w in unrounded.weights])
    fused = fuse_model(kept.result.plain, bits).model_bytes
    ends, interpreter = ends_of(fused), GraphInterpreter(fused)
    got = np.stack([interpreter.run(x[None]).reshape(-1) for x in ends.quantize(pictures)])
    real = ends.dequantize(got)
    return sqnr_db(simulated, real), sqnr_db(np.asarray(unrounded(pictures)), real)


def test_training_sees_what_the_fused_file_computes(kept: Trained, data: Dataset) -> None:
    simulated, unrounded = agreement_db(kept, data, 8)
    assert simulated > unrounded + 3


def test_training_sees_an_int16_residual_stream(model: Any, data: Dataset, images: Any) -> None:
    wide = train_and_keep(model, data, images, 16)
    assert {r.bits for r in wide.result.ranges if "add" in r.layer} == {16}
    simulated, unrounded = agreement_db(wide, data, 16)
    assert simulated > unrounded + 3


@pytest.mark.slow
def test_stages_of_convolutions_are_trained_as_they_are_computed(
    data: Dataset, images: Any
) -> None:
    folded = fold(random_weights(build_vit(STAGED), 1), STAGED).arch
    model = random_weights(build_vit(folded), 1)  # biases of its own: nothing to fold again
    wide = train_and_keep(model, data, images, 8, folded)
    types = activation_types(wide.result.plain)
    assert [r.layer for r in wide.result.ranges if not has(types, r)] == []
    sums = {r.layer for r in wide.result.ranges if r.layer.endswith(("_b_conv", "_short_conv"))}
    assert sums == {
        "stage0_block0_b_conv", "stage0_block0_short_conv", "stage0_block1_b_conv",
    }  # fmt: skip
    simulated, unrounded = agreement_db(wide, data, 8, folded)
    assert simulated > unrounded + 3


# ---- weights of 4 bits ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(24, 5), (3, 3, 6, 4), (3, 3, 5, 1)])
def test_weights_of_4_bits_are_rounded_as_the_converter_does(shape: tuple[int, ...]) -> None:
    weights = np.random.default_rng(5).standard_t(3, shape).astype(np.float32)
    depthwise = shape[-1] == 1
    quantizer = ChannelQuantizer(depthwise, bits=4)
    rounded = quantizer(weights, training=True, weights={}).numpy()
    channel = 2 if depthwise else len(shape) - 1
    rows, got = (np.moveaxis(w, channel, 0).reshape(shape[channel], -1) for w in (weights, rounded))
    scale = fitted_scale(rows.astype(np.float64), np.ones(rows.shape[1]))
    numbers = np.clip(np.rint(rows / scale[:, None]), -7, 7)
    np.testing.assert_allclose(got, numbers * scale[:, None], rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(np.abs(numbers).max(axis=1), 7)
    again = quantizer(rounded, training=True, weights={}).numpy()
    np.testing.assert_allclose(again, rounded, rtol=1e-6)


@pytest.mark.parametrize("arch", [ARCH, pytest.param(STAGED, marks=pytest.mark.slow)])
def test_trained_weights_of_4_bits_are_the_files(
    data: Dataset, images: Any, arch: Architecture
) -> None:
    """Rounded to the nearest, the plain file's int8 weights are the numbers that were trained."""
    folded = fold(random_weights(build_vit(arch), 1), arch).arch
    model = random_weights(build_vit(folded), 1)
    small = train_and_keep(model, data, images, 8, folded, weight_bits=4)
    plain = round_file(small.result.plain, WeightBits(4), method=RoundingMethod.NEAREST).model_bytes
    graph = parse(plain).graph
    layers = [op for op in graph.operators if op.opcode in LINEAR]
    stored = [graph.tensors[op.inputs[1]] for op in layers]
    assert all(np.abs(t.data).max() == 7 for t in stored)
    for name, kernel in rounded_weights(small.student).items():
        if not name.endswith("/kernel") or "_depth_" in name:
            continue
        axes = (3, 0, 1, 2) if kernel.ndim == 4 else (1, 0)
        wanted = kernel.transpose(axes)
        assert any(
            t.shape == wanted.shape and np.allclose(t.real(), wanted, rtol=1e-5, atol=1e-7)
            for t in stored
        ), name
    # The fused file computes what the training saw.
    result = dataclasses.replace(small.result, plain=plain)
    simulated, unrounded = agreement_db(Trained(result, small.student), data, 8, folded)
    assert simulated > unrounded + 3


def test_blocks_alone_have_4_bits() -> None:
    student = quantized_twin(ARCH.replace(heads=(2, 2), mlp_ratio=(2.0, 2.0)),
                             Scheme(weight_bits=4, small_blocks=(1,)))  # fmt: skip
    values = rounded_weights(student)
    counts = {
        name: len(np.unique(np.abs(values[f"{name}/kernel"][:, 0])))
        for name in ("patch", "block0_fc2", "block1_fc2", "block1_qkv", "head")
    }
    assert all((counts[name] <= 8) == name.startswith("block1") for name in counts)


def test_convolutions_alone_have_4_bits() -> None:
    scheme = Scheme(weight_bits=4, small_convolutions=("stage0_block1",))
    names = ("stage0_block0_a", "stage0_block1_b", "stage0_block10_a", "stage1_block1_point")
    assert [scheme._bits(f"{name}_conv") for name in names] == [8, 4, 8, 8]


def test_chosen_ranges_stay(model: Any, data: Dataset, images: Any, trained: QatResult) -> None:
    """With --calibration=percentile they are the first ones, with minmax they follow."""
    choice = RangeChoice("percentile", 99.0)
    narrow = {r.layer: r for r in train(model, data, images, ranges=choice).ranges}
    wide = {r.layer: r for r in trained.ranges}
    assert narrow["block0_act"].high < 0.9 * wide["block0_act"].high
    assert narrow["block0_add1"].high > 0.9 * wide["block0_add1"].high
    first = initial_ranges(
        float_twin(fold(model, ARCH)), quantized_twin(ARCH, Scheme()), images, choice
    )
    assert {r.layer: r.high for r in first} == pytest.approx(
        {name: r.high for name, r in narrow.items()}
    )


# ---- training ------------------------------------------------------------------------------------


def test_training_lowers_the_loss(trained: QatResult) -> None:
    first, before, after = trained.history
    assert set(first) == {"validation_accuracy"}
    assert after["loss"] < 0.99 * before["loss"]


def test_resumed_equals_uninterrupted(
    model: Any, data: Dataset, images: Any, trained: QatResult, tmp_path: Path
) -> None:
    def killed_after_one(*arguments: Any) -> None:
        save_checkpoint(*arguments)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("converter.qat.train.save_checkpoint", killed_after_one)
        with pytest.raises(KeyboardInterrupt):
            train(model, data, images, directory=str(tmp_path))
    assert (tmp_path / CHECKPOINT_FILE).exists()
    with pytest.raises(CheckpointError, match="--resume"):
        train(model, data, images, directory=str(tmp_path))
    with pytest.raises(CheckpointError, match="another recipe"):
        train(model, data, images, directory=str(tmp_path), resume=True, residual_bits=16)
    resumed = train(model, data, images, directory=str(tmp_path), resume=True)
    # It stays until the caller has written the result, which it gives again without training.
    assert (tmp_path / CHECKPOINT_FILE).exists()
    again = train(model, data, images, directory=str(tmp_path), resume=True)
    assert again.plain == resumed.plain
    discard_checkpoint(str(tmp_path))
    assert not (tmp_path / CHECKPOINT_FILE).exists()
    discard_checkpoint(str(tmp_path))
    assert resumed.history[0] == trained.history[0]
    assert resumed.history[2]["loss"] == pytest.approx(trained.history[2]["loss"], rel=1e-4)
    for a, b in zip(resumed.ranges, trained.ranges, strict=True):
        assert a.high == pytest.approx(b.high, rel=1e-3)


def test_long_trainings_are_compiled(
    model: Any, data: Dataset, images: Any, trained: QatResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XLA changes the time of a step, not what is learnt."""
    monkeypatch.setattr("converter.qat.train._XLA_STEPS", 1)
    compiled = train(model, data, images)
    assert compiled.history[1]["loss"] == pytest.approx(trained.history[1]["loss"], rel=1e-2)
    for a, b in zip(compiled.ranges, trained.ranges, strict=True):
        assert a.high == pytest.approx(b.high, rel=0.05, abs=0.05)


def test_refusals(model: Any, data: Dataset, images: Any) -> None:
    with pytest.raises(QuantizeError, match="all 5 are constant"):
        train(model, data, np.zeros((5, 8, 8, 1), np.float32))
    with pytest.raises(QatError, match="10 classes, the network 4"):
        quantize_aware(model, ARCH.replace(num_classes=4), data, images, QatRecipe())
    relative = ARCH.replace(relative_position=2)
    with pytest.raises(QatError, match="windows or relative position, whose rounding is not"):
        quantize_aware(model, relative, data, images, QatRecipe())
    merged = dataclasses.replace(STAGED.stages[2], down="conv")
    staged = STAGED.replace(stages=(*STAGED.stages[:2], merged))
    with pytest.raises(QatError, match="down='conv', norm=False, whose rounding is not trained"):
        quantize_aware(model, staged, data, images, QatRecipe())
    with pytest.raises(QatError, match="expected 8 or 16"):
        QatRecipe(residual_bits=12)
    with pytest.raises(QatError, match="weight_bits: got 2, expected 4 or 8"):
        QatRecipe(weight_bits=2)
    with pytest.raises(CheckpointError, match="--qat_dir"):
        train(model, data, images, resume=True)
