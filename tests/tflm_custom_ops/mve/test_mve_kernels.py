# SPDX-License-Identifier: Apache-2.0
"""The Helium kernels in QEMU: bits, memory, stack and counts."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.kernels import qemu
from benchmarks.kernels.operators import run_operator
from benchmarks.kernels.sweep import mismatches_of_seed, mismatches_of_sums
from benchmarks.kernels.workloads import linear
from firmware.emulator.qemu.process import PROGRAM
from tests.tflm_custom_ops import arm_kernels, generators
from tflm_custom_ops.ops import LinearOp, OpKind, Pool, Projection, run_reference
from tflm_custom_ops.ops.layouts import pack_rows, pack_rows_4
from tflm_custom_ops.ops.schema import OptionsError

pytestmark = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which(PROGRAM)),
    reason=f"arm-none-eabi-gcc or {PROGRAM} is not installed",
)
# `python -m benchmarks.kernels.sweep --core=cortex-m55` runs 2,000.
COUNT = 40


def machine_of(core: str) -> qemu.QemuKernels:
    return qemu.QemuKernels(qemu.build(qemu.CORES[core], arm_kernels.FLAGS))


@pytest.fixture(scope="module")
def m55() -> qemu.QemuKernels:
    return machine_of("cortex-m55")


@pytest.mark.parametrize("kind", list(OpKind), ids=lambda kind: kind.name)
def test_random_operators(kind: OpKind, m55: qemu.QemuKernels) -> None:
    for seed in range(COUNT):
        assert mismatches_of_seed(m55, kind, seed) == 0, f"seed {seed}"


@pytest.mark.parametrize(
    ("tokens", "head_dim"), [(97, 16), (97, 17), (248, 64), (249, 66), (301, 9)]
)
def test_attention_of_many_tokens(tokens: int, head_dim: int, m55: qemu.QemuKernels) -> None:
    """More keys, tokens of values and channels than one turn of each loop takes."""
    rng = np.random.default_rng(tokens)
    op = generators.attention(rng, tokens=tokens, embed_dim=12, heads=1, head_dim=head_dim, rank=0)
    x = generators.random_input(op, rng)
    op = dataclasses.replace(op, token_tile=min(tokens, 100))  # several blocks of query rows
    assert (run_operator(m55, op, x).y == run_reference(op, x)).all()


def test_largest_sums(m55: qemu.QemuKernels) -> None:
    for seed in range(COUNT):
        assert mismatches_of_sums(m55, seed) == 0, f"seed {seed}"


def test_without_a_floating_point_unit() -> None:
    machine = machine_of("cortex-m55+nofp")
    for kind in OpKind:
        for seed in range(5000, 5008):
            assert mismatches_of_seed(machine, kind, seed) == 0, f"{kind} seed {seed}"


@pytest.mark.parametrize("expanded", [2, 44, 768])
@pytest.mark.parametrize("k", [1, 2, 15, 16, 17, 62, 191, 192, 193, 768, 771, 1550])
def test_inputs_in_parts(k: int, expanded: int, m55: qemu.QemuKernels) -> None:
    """Every remainder of a step, more inputs than the straight code has, and than memory holds;
    rows as they are (k of 16, 192 and 768) and narrowed."""
    rng = np.random.default_rng(k)
    for n, rows in ((1, 1), (5, 3), (98, 6)):
        op = LinearOp(
            rows=rows,
            token_tile=int(rng.integers(1, rows + 1)),
            expanded_inputs=expanded,
            projection=Projection(generators.linear(rng, n, k)),
        )
        x = rng.choice([-128, 127, 3], (rows, k)).astype(np.int8)
        assert (run_operator(m55, op, x).y == run_reference(op, x)).all()


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("k", "n", "most"), [(192, 192, 0.13), (768, 192, 0.12)])
def test_instructions_per_product(
    k: int, n: int, most: float, bits: int, m55: qemu.QemuKernels
) -> None:
    op, x = linear(k, n, 225, bits)
    run = run_operator(m55, op, x, paint=True)
    assert run.call.instructions <= most * 225 * k * n
    assert run.call.stack_bytes < 3072
    assert (run.y == run_reference(op, x)).all()


def test_the_page_says_what_was_recorded() -> None:
    docs = Path(__file__).parents[3] / "docs"
    record = json.loads((docs / "results" / "helium.json").read_text())
    page = (docs / "kernels.md").read_text()
    for shape, count in record["instructions_per_product"].items():
        other = record["cmsis_nn"]["instructions_per_product"][shape]
        small = record["instructions_per_product_4_bits"][shape]
        assert f"| {shape} | {count} | {small} | {other} |" in page
    assert record["cmsis_nn"]["revision"][:8] in page
    for name, found in record["networks"].items():
        assert all(found["equal"].values())
        assert f"| `{name}` | {found['instructions']:,} | {found['stack_bytes']:,} |" in page
    for name, found in record["networks_4_bits"].items():
        assert all(found["equal"].values())
        whole = record["networks"][name]["flash_bytes"]
        cells = (f"{found['instructions']:,}", f"{found['flash_bytes']:,}", f"{whole:,}")
        assert f"| `{name}` | {' | '.join(cells)} |" in page


def test_rows_are_padded() -> None:
    weights = np.arange(-15, 15, dtype=np.int8).reshape(3, 10)
    packed = pack_rows(weights)
    assert packed.size == 4 * 12 + 16
    np.testing.assert_array_equal(packed[:48].reshape(4, 12)[:3, :10], weights)
    assert packed.sum() == weights.sum()


def test_rows_of_4_bits_hold_two_channels() -> None:
    numbers = np.random.default_rng(1).integers(-7, 8, (5, 10))
    rows = pack_rows_4((16 * numbers).astype(np.int8))
    assert rows.size == 3 * 12 + 16
    wide = rows[:36].reshape(3, 12).astype(np.int16)
    first = ((wide + 8) % 16 - 8)[:, :10]
    np.testing.assert_array_equal(first, numbers[0::2])
    np.testing.assert_array_equal((wide[:2, :10] - first[:2]) // 16, numbers[1::2])
    with pytest.raises(OptionsError, match="got 8, expected multiples of 16"):
        pack_rows_4(np.full((1, 1), 8, np.int8))


def test_norms_next_to_the_mean(m55: qemu.QemuKernels) -> None:
    op, x = generators.near_the_mean(np.random.default_rng(0))
    assert (run_operator(m55, op, x).y == run_reference(op, x)).all()


@pytest.mark.parametrize("width", [641, 2048])
def test_norms_of_wide_tokens(width: int, m55: qemu.QemuKernels) -> None:
    """Sums of squares and normalized values next to the largest there are."""
    rng = np.random.default_rng(width)
    x = rng.choice(np.array([-128, 127], np.int8), (3, width))
    x[1], x[1, 0] = -128, 127
    for op in (
        generators.layer_norm(rng, tokens=3, embed_dim=width, bits=8, pool=Pool(0)),
        generators.mlp(rng, tokens=3, embed_dim=width, hidden_dim=9, bits=8),
    ):
        assert (run_operator(m55, op, x).y == run_reference(op, x)).all()
