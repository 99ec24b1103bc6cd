# SPDX-License-Identifier: Apache-2.0
"""Random operators in the kernel emulator against the NumPy reference, bit for bit.

    python -m benchmarks.kernels.sweep --samples=2000 --core=cortex-m7 --json=kernel_sweep.json

Beside operators of each kind layers whose sums are next to 2**23, where a stream of the
three-stream core ends, and builtin convolutions. Exits 1 on a difference. A record keeps what it
has of other cores.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.kernels import convolutions, emulator, qemu
from benchmarks.kernels.machine import KernelMachine
from benchmarks.kernels.operators import can_alias, run_operator
from tests.tflm_custom_ops import extreme_sums, generators
from tflm_custom_ops.builtins.reference import conv_2d
from tflm_custom_ops.ops import OpKind, run_reference
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("sweep", __doc__)
flags.samples(FLAGS, 2000, "Random operators of each kind.")
FLAGS.integer("first_seed", 0, "Seed of the first one.")
FLAGS.enum("core", "cortex-m7", sorted({**emulator.CORES, **qemu.CORES}), "Processor.")
flags.json(FLAGS)


def mismatches_of_seed(machine: KernelMachine, kind: OpKind, seed: int) -> int:
    """Values of one random operator that differ; odd seeds draw extreme parameters.

    Every third seed lets y overwrite x where the operator allows it.
    """
    rng = np.random.default_rng(seed)
    extreme = bool(seed % 2)
    op = generators.random_op(kind, rng, extreme=extreme)
    inputs = generators.random_inputs(op, rng, extreme=extreme)
    expected = run_reference(op, *inputs)
    found = run_operator(machine, op, *inputs, alias=seed % 3 == 0 and can_alias(op))
    return int((found.y != expected).sum())


def mismatches_of_sums(machine: KernelMachine, seed: int) -> int:
    """Values of a layer with sums next to 2**23 that differ."""
    op, x = extreme_sums.random_case(np.random.default_rng(seed))
    return int((run_operator(machine, op, x).y != run_reference(op, x)).sum())


def mismatches_of_convolution(machine: KernelMachine, seed: int) -> int:
    """Values of a random convolution that differ."""
    case = convolutions.random_case(np.random.default_rng(seed))
    found = convolutions.run_convolution(machine, case.op, case.x, case.scratch_bytes)
    return int((found.y != conv_2d(case.op, case.x)).sum())


def machine_of(core: str) -> KernelMachine:
    """All kernels on a core: in QEMU where it has Helium, else in Unicorn."""
    if core in qemu.CORES:
        return qemu.QemuKernels(qemu.build(qemu.CORES[core], more=[convolutions.KERNEL]))
    chosen = emulator.CORES[core]
    return emulator.KernelEmulator(emulator.build(chosen, convolutions.sources()), chosen)


def _bad(name: str, seeds: range, mismatches: Callable[[int], int]) -> list[int]:
    """The seeds with differences."""
    shown = tqdm(seeds, name, leave=False, disable=None)
    bad = [seed for seed in shown if mismatches(seed)]
    print(f"{name:14s} {len(seeds)} operators, {len(bad)} differ {bad[:5] or ''}", flush=True)
    return bad


def _record(path: Path, core: str, first_seed: int, counts: dict[str, dict[str, int]]) -> None:
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"cores": {}}
    record["cores"][core] = {
        "command": typed_command("benchmarks.kernels.sweep"),
        "gcc": emulator.compiler_version(),
        "first_seed": first_seed,
        "kinds": counts,
    }
    write_json(path, record)


def _body() -> None:
    values = FLAGS
    if values.json:
        expect_writable(values.json)
    machine = machine_of(values.core)
    seeds = range(values.first_seed, values.first_seed + values.samples)
    found = {
        kind.name: _bad(kind.name, seeds, functools.partial(mismatches_of_seed, machine, kind))
        for kind in OpKind
    }
    sums = functools.partial(mismatches_of_sums, machine)
    found[extreme_sums.NAME] = _bad(extreme_sums.NAME, seeds, sums)
    of_convolution = functools.partial(mismatches_of_convolution, machine)
    found[convolutions.NAME] = _bad(convolutions.NAME, seeds, of_convolution)
    if values.json:
        counts = {n: {"operators": len(seeds), "differ": len(bad)} for n, bad in found.items()}
        _record(Path(values.json), values.core, values.first_seed, counts)
    if failed := [name for name, bad in found.items() if bad]:
        raise ValueError(f"not equal to the reference: {', '.join(failed)}")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
