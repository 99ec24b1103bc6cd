# SPDX-License-Identifier: Apache-2.0
"""The kernels compiled for Cortex-M, in the emulator: bits, stack, memory and exact counts."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.kernels import convolutions
from benchmarks.kernels.emulator import CORES, CORTEX_M4, CORTEX_M7, KernelEmulator
from benchmarks.kernels.operators import run_operator
from benchmarks.kernels.sweep import mismatches_of_seed
from tests.recorded_compiler import recorded_compiler_only
from tests.tflm_custom_ops import arm_kernels, extreme_sums, generators
from tflm_custom_ops.exact_sums import exact_k_block
from tflm_custom_ops.ops import Attention, Linear, LinearOp, Mlp, OpKind, Projection, run_reference
from tflm_custom_ops.sources import kernel_files

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)

# Random operators of each kind on the Cortex-M7; faults planted in the kernels show within them
# (benchmarks/mutations/of_dsp.py). `python -m benchmarks.kernels.sweep` runs more.
COUNT = 400
RESULTS = Path(__file__).parents[3] / "docs" / "results"


@pytest.fixture(scope="module")
def m7() -> KernelEmulator:
    return KernelEmulator(arm_kernels.build(CORTEX_M7), CORTEX_M7)


@pytest.fixture(scope="module")
def m7_single_loads() -> KernelEmulator:
    return KernelEmulator(
        arm_kernels.build(CORTEX_M7, defines=["VIT_DSP_SINGLE_LOADS=1"]), CORTEX_M7
    )


def test_counts_are_exact() -> None:
    elf = arm_kernels.build(CORTEX_M7, sources=[Path(__file__).with_name("counted.S")])
    machine = KernelEmulator(elf, CORTEX_M7)
    for n in (1, 2, 1000, 100_000):
        call = machine.call("counted_loop", n)
        assert (call.result, call.instructions) == (n, 4 + 3 * n)
    for value, result in ((1, 7), (-1, -1)):
        call = machine.call("counted_it", value)
        assert (call.result, call.instructions) == (result, 5)


@pytest.mark.parametrize("kind", list(OpKind), ids=lambda kind: kind.name)
def test_random_operators(kind: OpKind, m7: KernelEmulator) -> None:
    for seed in range(COUNT):
        assert mismatches_of_seed(m7, kind, seed) == 0, f"seed {seed}"


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m33", "cortex-m3"])
def test_other_cores(core: str) -> None:
    """M3 has no DSP extension: the portable kernels."""
    machine = KernelEmulator(arm_kernels.build(CORES[core]), CORES[core])
    for kind in OpKind:
        for seed in range(5000, 5040):
            assert mismatches_of_seed(machine, kind, seed) == 0, f"{kind} seed {seed}"


def test_portable_kernels_on_a_dsp_core() -> None:
    """VIT_NO_DSP keeps the portable kernels, which then use single DSP instructions."""
    elf = arm_kernels.build(CORTEX_M7, defines=["VIT_NO_DSP"])
    machine = KernelEmulator(elf, CORTEX_M7)
    assert not machine.elf.has_symbol("vit_dsp_gemm")
    for kind in OpKind:
        for seed in range(6000, 6040):
            assert mismatches_of_seed(machine, kind, seed) == 0, f"{kind} seed {seed}"


def _check(machine: KernelEmulator, linear: Linear, rows: int, rng: np.random.Generator) -> None:
    op = LinearOp(
        rows=rows, token_tile=int(rng.integers(1, rows + 1)), projection=Projection(linear)
    )
    for x in (
        rng.integers(-128, 128, (rows, linear.in_features)),
        np.full((rows, linear.in_features), -128),
        rng.choice([-128, 127], (rows, linear.in_features)),
    ):
        x8 = x.astype(np.int8)
        assert (run_operator(machine, op, x8).y == run_reference(op, x8)).all()


@pytest.mark.parametrize(
    "k", [1, 2, 3, 5, 6, 7, 8, 95, 96, 98, 191, 192, 193, 195, 198, 384, 512, 768, 771, 1550]
)
@pytest.mark.parametrize("blocked", [False, True])
def test_inputs_and_blocks(k: int, blocked: bool, m7: KernelEmulator) -> None:
    """Every remainder of the unrolled loop, inputs in parts (more than 768), and with and without
    extraction after each k_block."""
    rng = np.random.default_rng(k)
    for n in (1, 2, 5):
        linear = generators.linear(rng, n, k)
        linear = dataclasses.replace(linear, out_min=-128, out_max=127)
        if blocked:
            block = 2 * int(rng.integers(1, (k + 1) // 2 + 1))
            linear = dataclasses.replace(linear, k_block=block)
        _check(m7, linear, int(rng.integers(1, 60)), rng)


@pytest.mark.parametrize("k", [514, 516, 640, 1024, 3072])
def test_exactness_limit(k: int, m7: KernelEmulator) -> None:
    """The largest weights: -128 times weights of 127 need blocks, and 127 fewer do not."""
    rng = np.random.default_rng(k)
    for fill in (127, -127):
        weights = np.full((4, k), fill, np.int8)
        for kept in (k, 512, (1 << 23) // (128 * 127)):
            weights[:, kept:] = 0
            bias = np.array([0, 5, -7, 1 << 20], np.int32)
            linear = Linear(
                weights=weights.copy(),
                bias=bias,
                multiplier=np.full(4, 1 << 15, np.int32),
                k_block=exact_k_block(weights, bias),
            )
            _check(m7, linear, 4, rng)


@pytest.mark.parametrize("target", extreme_sums.TARGETS)
@pytest.mark.parametrize("machine", ["m7", "m7_single_loads"])
def test_sums_next_to_the_limit(target: int, machine: str, request: pytest.FixtureRequest) -> None:
    """Each channel, and all at once, has a sum next to 2^23 while the others' are anywhere."""
    core = request.getfixturevalue(machine)
    rng = np.random.default_rng(abs(target))
    for n in (1, 2, 3, 4, 6, 7):
        for channels in [*([c] for c in range(n)), list(range(n))]:
            op = extreme_sums.layer(rng, n, channels, target, rows=5)
            x = np.full((5, op.projection.up.in_features), -128, np.int8)
            x[1] = rng.integers(-128, 128, x.shape[1])
            assert (run_operator(core, op, x).y == run_reference(op, x)).all()


def test_the_recorded_sweeps_are_whole() -> None:
    """Of each kind that there is 2,000 on each core, and none that differed."""
    record = json.loads((RESULTS / "kernel_sweep.json").read_text())
    helium = {"cortex-m55", "cortex-m55+nofp"}
    assert record["cores"].keys() == {"cortex-m4", "cortex-m7", "cortex-m33", *helium}
    kinds = {*(kind.name for kind in OpKind), extreme_sums.NAME, convolutions.NAME}
    for swept in record["cores"].values():
        assert swept["kinds"].keys() == kinds
        assert all(k == {"operators": 2000, "differ": 0} for k in swept["kinds"].values())


@pytest.mark.parametrize("seed", range(6))
def test_large_shapes(seed: int, m7: KernelEmulator) -> None:
    """Weights in parts, in every store; more tokens than one block of values or of scores."""
    rng = np.random.default_rng(seed)
    rank, bits = int(rng.choice([0, 0, 285])), int(rng.choice([8, 16]))
    tokens, d = int(rng.integers(20, 60)), int(rng.integers(265, 400))
    ops = [
        generators.mlp(rng, tokens=tokens, embed_dim=d, hidden_dim=d + 7, rank=rank, bits=bits),
        generators.attention(
            rng, tokens=tokens, embed_dim=d, heads=2, head_dim=70, rank=rank, bits=bits
        ),
        generators.mlp(rng, tokens=23, embed_dim=30, hidden_dim=790 + seed, rank=rank, bits=bits),
        generators.attention(rng, tokens=257 + 40 * seed, embed_dim=24, heads=1, head_dim=13),
        generators.attention(
            rng, tokens=520, embed_dim=24, heads=2, head_dim=257 - 8 * seed - (seed == 0)
        ),
        generators.layer_norm(rng, tokens=3, embed_dim=640 - seed % 2),
        generators.layer_norm(rng, tokens=3, embed_dim=2048 - seed, bits=8, extreme=seed == 1),
        generators.mlp(rng, tokens=5, embed_dim=900 + seed, hidden_dim=20, bits=8),
        generators.attention(rng, tokens=5, embed_dim=780 + seed, heads=1, head_dim=8, bits=8),
    ]
    for op in ops:
        if isinstance(op, Mlp | Attention):
            op = dataclasses.replace(op, token_tile=op.tokens - seed % 3)
        x = generators.random_input(op, rng)
        assert (run_operator(m7, op, x).y == run_reference(op, x)).all()


def test_norms_next_to_the_mean(m7: KernelEmulator) -> None:
    op, x = generators.near_the_mean(np.random.default_rng(0))
    assert (run_operator(m7, op, x).y == run_reference(op, x)).all()


def test_stack_is_bounded(m7: KernelEmulator) -> None:
    """docs/kernels.md states the bound, which the firmware's stack size relies on."""
    deepest = {}
    for kind in OpKind:
        for seed in range(40):
            rng = np.random.default_rng(seed)
            op = generators.random_op(kind, rng)
            run = run_operator(m7, op, *generators.random_inputs(op, rng), paint=True)
            deepest[kind] = max(deepest.get(kind, 0), run.call.stack_bytes)
    assert max(deepest.values()) <= 4096, deepest


def test_same_counts_on_m4(m7: KernelEmulator) -> None:
    m4 = KernelEmulator(arm_kernels.build(CORTEX_M4), CORTEX_M4)
    rng = np.random.default_rng(3)
    op = generators.attention(rng, tokens=60, embed_dim=48, heads=2, head_dim=24, rank=0, bits=8)
    x = generators.random_input(op, rng)
    a = run_operator(m7, op, x).call.instructions
    b = run_operator(m4, op, x).call.instructions
    assert abs(a - b) <= 0.05 * a


def test_the_two_forms_of_the_loop_are_equal(m7: KernelEmulator, m7_single_loads) -> None:
    """VIT_DSP_SINGLE_LOADS: other instructions, the same bits, on every core that has them."""
    for kind in OpKind:
        for seed in range(7000, 7100):
            assert mismatches_of_seed(m7_single_loads, kind, seed) == 0, f"{kind} seed {seed}"
    for core in ("cortex-m4", "cortex-m33"):
        elf = arm_kernels.build(CORES[core], defines=["VIT_DSP_SINGLE_LOADS=1"])
        machine = KernelEmulator(elf, CORES[core])
        for kind in OpKind:
            for seed in range(7000, 7020):
                assert mismatches_of_seed(machine, kind, seed) == 0, f"{kind} seed {seed}"
    op = LinearOp(48, 48, Projection(generators.linear(np.random.default_rng(1), 16, 192)))
    x = generators.random_input(op, np.random.default_rng(2))
    counts = [run_operator(m, op, x).call.instructions for m in (m7, m7_single_loads)]
    assert counts[0] < counts[1]


# Watched, Unicorn 2.1 takes some stores of several words in GCC 14's code for stores to address 0;
# without the watch the same code gives the reference's bytes.
@recorded_compiler_only()
def test_loading_ahead_stays_in_the_scratch() -> None:
    """What lies behind an operator's scratch may be no memory at all."""
    sources = [*kernel_files(".c", ".S"), Path(__file__).with_name("plain_memcpy.c")]
    elf = arm_kernels.build(CORTEX_M7, sources, defines=["VIT_DSP_SINGLE_LOADS=1"])
    machine = KernelEmulator(elf, CORTEX_M7)
    for kind in OpKind:
        for seed in range(8000, 8060):
            rng = np.random.default_rng(seed)
            op = generators.random_op(kind, rng)
            xs = generators.random_inputs(op, rng)
            assert (run_operator(machine, op, *xs, watch=True).y == run_reference(op, *xs)).all()
