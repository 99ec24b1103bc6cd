# SPDX-License-Identifier: Apache-2.0
"""The TFLM operators in the wheel: bit for bit the reference; an error for anything malformed."""

from __future__ import annotations

import dataclasses
import struct
import subprocess
import sys

import numpy as np
import pytest

from converter.runtimes.tflm import op_models
from converter.runtimes.tflm.errors import TflmInvokeError, TflmModelError
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.runtimes.tflm.op_models import Activation, CustomOp
from converter.tflite import parse, serialize
from tests.tflm_custom_ops import generators
from tflm_custom_ops.ops import (
    BY_KIND,
    VERSION,
    OpKind,
    Params,
    Pool,
    kind_of,
    operator_of,
    run_reference,
)

KINDS = tuple(OpKind)
IN_PLACE = (OpKind.ATTENTION, OpKind.MLP, OpKind.LAYER_NORM, OpKind.GELU)


def input_specs(op: Params) -> list[Activation]:
    tensors = operator_of(op).inputs
    return [Activation((1, *(t.shape or (77,))), t.dtype.name) for t in tensors]


def input_spec(op: Params) -> Activation:
    return input_specs(op)[0]


def output_spec(op: Params) -> Activation:
    y = operator_of(op).output
    shape = operator_of(op).output_shape(generators.input_shape(op))
    return Activation((1, *shape), y.dtype.name)


def single(op: Params, offsets: dict[int, int] | None = None) -> bytes:
    """A model of one operator."""
    custom = op_models.custom_op(op, output_spec(op))
    return op_models.chain_model(input_specs(op), [custom], offsets)


def assert_is_reference(interpreter: TflmInterpreter, op: Params, *xs: np.ndarray) -> None:
    expected = run_reference(op, *xs)
    (got,) = interpreter.invoke_all(*(x[np.newaxis] for x in xs))
    np.testing.assert_array_equal(got.reshape(expected.shape), expected)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", KINDS)
def test_operator_is_the_reference(kind: OpKind, seed: int) -> None:
    rng = np.random.default_rng([seed, kind])
    extreme = seed % 4 == 3
    op = generators.random_op(kind, rng, extreme=extreme)
    interpreter = TflmInterpreter(single(op))
    for _ in range(2):  # the second run finds what the first one left in the arena
        assert_is_reference(interpreter, op, *generators.random_inputs(op, rng, extreme=extreme))


@pytest.fixture
def no_plan_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operators see plans that the runtime would refuse before them."""
    monkeypatch.setattr("converter.runtimes.tflm.interpreter.check_plans", lambda model: None)


@pytest.mark.usefixtures("no_plan_check")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", IN_PLACE)
def test_output_may_overwrite_input(kind: OpKind, seed: int) -> None:
    rng = np.random.default_rng([seed, kind, 1])
    op = generators.random_op(kind, rng)
    interpreter = TflmInterpreter(single(op, {0: 32, 1: 32}))
    assert_is_reference(interpreter, op, generators.random_input(op, rng))


@pytest.mark.usefixtures("no_plan_check")
@pytest.mark.parametrize("kind", [*IN_PLACE, OpKind.LINEAR])
def test_harmful_overlap_is_an_error(kind: OpKind) -> None:
    rng = np.random.default_rng([kind, 2])
    op = {
        OpKind.ATTENTION: lambda: generators.attention(rng, tokens=9, embed_dim=16),
        OpKind.MLP: lambda: generators.mlp(rng, tokens=9, embed_dim=16),
        OpKind.LAYER_NORM: lambda: generators.layer_norm(
            rng, tokens=9, embed_dim=16, pool=Pool.NONE
        ),
        OpKind.GELU: lambda: generators.gelu(rng),
        OpKind.LINEAR: lambda: generators.linear_op(
            rng, rows=9, in_features=16, out_features=16, rank=0
        ),
    }[kind]()
    x = generators.random_input(op, rng)
    interpreter = TflmInterpreter(single(op, {0: 0, 1: 16}))
    with pytest.raises(TflmInvokeError, match=r"memory plan overlaps input and output"):
        interpreter.invoke(x[np.newaxis])


def test_gelu_takes_any_shape() -> None:
    rng = np.random.default_rng(3)
    op = generators.gelu(rng)
    for shape in ((5,), (1, 3, 7), (1, 2, 3, 4)):
        spec = Activation(shape)
        model = op_models.chain_model(spec, [op_models.custom_op(op, spec)])
        x = rng.integers(-128, 128, shape).astype(np.int8)
        np.testing.assert_array_equal(TflmInterpreter(model).invoke(x), run_reference(op, x))


def network(rng: np.random.Generator, bits: int, rank: int) -> list[Params]:
    """Patch embedding, two blocks, pooled norm, head."""
    patch = generators.patch_embed(rng, embed_dim=24, patch=4, grid=4, stride=4, pad=0, bits=bits)
    tokens = patch.tokens
    ops: list[Params] = [patch]
    for _ in range(2):
        ops.append(
            generators.attention(
                rng, tokens=tokens, embed_dim=24, heads=3, head_dim=8, rank=rank, bits=bits
            )
        )
        ops.append(
            generators.mlp(rng, tokens=tokens, embed_dim=24, hidden_dim=48, rank=rank, bits=bits)
        )
    ops.append(generators.layer_norm(rng, tokens=tokens, embed_dim=24, bits=bits, pool=Pool.MEAN))
    ops.append(generators.linear_op(rng, rows=1, in_features=24, out_features=10, rank=0))
    return ops


@pytest.mark.parametrize(("bits", "rank"), [(8, 0), (16, 0), (8, 6), (16, 6)])
def test_network_is_the_reference_whatever_the_schedule(bits: int, rank: int) -> None:
    rng = np.random.default_rng([bits, rank])
    ops = network(rng, bits, rank)
    x = generators.random_input(ops[0], rng)
    expected = x
    for op in ops:
        expected = run_reference(op, expected.reshape(generators.input_shape(op)))
    for schedule in range(3):
        scheduled = ops if schedule == 0 else [generators.with_schedule(op, rng) for op in ops]
        chain = [op_models.custom_op(op, output_spec(op)) for op in scheduled]
        # Tokens of all blocks in one place: every block overwrites its input.
        offsets = dict.fromkeys(range(1, 6), 4096) if schedule == 2 else None
        interpreter = TflmInterpreter(op_models.chain_model(input_spec(ops[0]), chain, offsets))
        got = interpreter.invoke(x[np.newaxis])
        np.testing.assert_array_equal(got.ravel(), expected.ravel())


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", [OpKind.ATTENTION, OpKind.MLP])
def test_scratch_in_the_arena_is_what_the_kernel_needs(kind: OpKind, bits: int) -> None:
    rng = np.random.default_rng([kind, bits])
    op: Params = (
        generators.attention(rng, tokens=40, embed_dim=48, heads=4, head_dim=16, bits=bits)
        if kind is OpKind.ATTENTION
        else generators.mlp(rng, tokens=40, embed_dim=48, hidden_dim=96, bits=bits)
    )
    x_bytes = 40 * 48 * bits // 8
    head = TflmInterpreter(single(op, {0: 0, 1: 0})).arena_usage.head_bytes
    assert head == x_bytes + -(-operator_of(op).scratch_bytes // 16) * 16


def test_operators_keep_nothing_in_persistent_memory() -> None:
    rng = np.random.default_rng(4)
    chain = [op_models.custom_op(op, output_spec(op)) for op in network(rng, 8, 0)]
    usage = TflmInterpreter(
        op_models.chain_model(input_spec(network(np.random.default_rng(4), 8, 0)[0]), chain)
    ).arena_usage
    assert "Persistent buffer data" in {r.name for r in usage.records}  # TFLM's own tensor lists
    persistent = next(r for r in usage.records if r.name == "Persistent buffer data")
    assert persistent.used_bytes <= 64, "two pointer lists, of the model's inputs and outputs"


def _message(model: bytes) -> str:
    with pytest.raises(TflmModelError) as caught:
        TflmInterpreter(model)
    return str(caught.value)


def _bad_spec(op: Params, what: str) -> bytes:
    (x, *further), y = input_specs(op), output_spec(op)
    custom = op_models.custom_op(op, y)
    if what == "input type":
        x = dataclasses.replace(x, dtype="uint8")
    elif what == "output type":
        custom = dataclasses.replace(custom, output=dataclasses.replace(y, dtype="float32"))
    elif what == "input shape":
        x = dataclasses.replace(x, shape=(*x.shape[:-1], x.shape[-1] + 1))
    elif what == "output shape":
        custom = dataclasses.replace(
            custom, output=dataclasses.replace(y, shape=(*y.shape[:-1], y.shape[-1] + 1))
        )
    elif what == "options cut":
        custom = dataclasses.replace(custom, custom_options=custom.custom_options[:-4])
    elif what == "options empty":
        custom = dataclasses.replace(custom, custom_options=b"")
    elif what == "options odd":
        custom = dataclasses.replace(custom, custom_options=custom.custom_options + b"x")
    elif what == "blob cut":
        custom = dataclasses.replace(custom, blob=custom.blob[: len(custom.blob) // 2])
    elif what == "version":
        words = bytearray(custom.custom_options)
        words[8:12] = struct.pack("<i", VERSION + 1)
        custom = dataclasses.replace(custom, custom_options=bytes(words))
    elif what == "kind":
        words = bytearray(custom.custom_options)
        words[4:8] = struct.pack("<i", 7 - kind_of(op))
        custom = dataclasses.replace(custom, custom_options=bytes(words))
    return op_models.chain_model([x, *further], [custom])


_EXPECTED = {
    "input type": "input: got uint8, expected int",
    "output type": "output: got float32, expected int",
    "input shape": "input: got ",
    "output shape": "output: got ",
    "options cut": "options: ",
    "options empty": "options: ",
    "options odd": "options: ",
    "blob cut": "options: ",
    "version": "options: ",
    "kind": "options: ",
}


@pytest.mark.parametrize("what", _EXPECTED)
@pytest.mark.parametrize("kind", KINDS)
def test_malformed_operator_is_refused_with_a_reason(kind: OpKind, what: str) -> None:
    op = generators.random_op(kind, np.random.default_rng([kind, 9]))
    if kind is OpKind.GELU and what == "input shape":
        what = "output shape"  # any input shape is right; the output must follow it
    message = _message(_bad_spec(op, what))
    stated = BY_KIND[kind].INPUTS
    role = "input" if len(stated) == 1 else stated[0].name
    expected = _EXPECTED[what].replace("input:", f"{role}:")
    assert f"{BY_KIND[kind].CODE}: {expected}" in message
    assert "failed to prepare" in message


@pytest.mark.parametrize("blob", ["activation", "missing"])
def test_blob_must_be_a_constant(blob: str) -> None:
    model = parse(single(generators.gelu(np.random.default_rng(1))))

    def with_inputs(*inputs: int) -> bytes:
        op = dataclasses.replace(model.graph.operators[0], inputs=inputs)
        graph = dataclasses.replace(model.graph, operators=(op,))
        return serialize(dataclasses.replace(model, graph=graph))

    assert "VitGelu: " in _message(with_inputs(*([0, 0] if blob == "activation" else [0])))
    assert "omitted tensor" in _message(with_inputs(0, -1))


def test_output_must_not_be_a_constant() -> None:
    model = parse(single(generators.gelu(np.random.default_rng(1))))
    tensors = list(model.graph.tensors)
    y = tensors[1]
    tensors[1] = dataclasses.replace(y, data=np.zeros(y.shape, y.dtype))
    graph = dataclasses.replace(model.graph, tensors=tuple(tensors))
    message = _message(serialize(dataclasses.replace(model, graph=graph)))
    assert "got output tensor 1 'x1' that has a value already" in message


def fuzz(seed: int, rounds: int) -> tuple[int, int]:
    """Random changes of options and blob. Returns how many were refused and how many ran."""
    rng = np.random.default_rng(seed)
    refused = ran = 0
    for number in range(rounds):
        op = generators.random_op(KINDS[number % len(KINDS)], rng)
        xs, custom = input_specs(op), op_models.custom_op(op, output_spec(op))
        words = np.frombuffer(custom.custom_options, np.int32).copy()
        for position in rng.integers(0, len(words), rng.integers(1, 3)):
            near = int(words[position]) + int(rng.choice([-4, -1, 1, 4]))
            ends = (0, -1, 1, 2, 255, 1 << 16, (1 << 31) - 1, -(1 << 31), 1 << 30)
            value = int(rng.choice([near, *ends]))
            words[position] = np.array(value & 0xFFFFFFFF, np.uint32).view(np.int32)
        blob = custom.blob
        if rng.random() < 0.3:
            blob = bytes(rng.integers(0, 256, len(blob), np.uint8))
        if rng.random() < 0.1:
            blob = blob[: int(rng.integers(1, len(blob) + 1))]
        changed = CustomOp(custom.custom_code, words.tobytes(), blob, custom.output)
        try:
            interpreter = TflmInterpreter(op_models.chain_model(xs, [changed]))
            low, high = generators.type_range(generators.input_bits(op))
            interpreter.invoke_all(
                *(rng.integers(low, high + 1, x.shape).astype(x.dtype) for x in xs)
            )
            ran += 1
        except (TflmModelError, TflmInvokeError):
            refused += 1
    return refused, ran


@pytest.mark.parametrize("seed", range(2))
def test_fuzzed_options_never_crash(seed: int) -> None:
    rounds = 600
    code = (
        "from tests.converter.runtimes.tflm import test_tflm_operators as t;"
        f"print(*t.fuzz({seed}, {rounds}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, (
        f"seed {seed}: status {result.returncode}: {result.stderr[-2000:]}"
    )
    refused, ran = (int(v) for v in result.stdout.split())
    assert refused + ran == rounds
    assert refused > rounds // 4
    assert ran > 0
