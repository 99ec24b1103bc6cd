# SPDX-License-Identifier: Apache-2.0
"""Random operators in the kernel emulator against the NumPy reference, bit for bit.

``python -m benchmarks.kernels.sweep --count=2000 --core=cortex-m7``; exits 1 on a difference.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from absl import app, flags
from tqdm import tqdm

from benchmarks.kernels import emulator
from benchmarks.kernels.operators import can_alias, run_operator
from tests.tflm_custom_ops import generators
from tflm_custom_ops import reference
from tflm_custom_ops.options import OpKind

_COUNT = flags.DEFINE_integer("count", 2000, "random operators of each kind", lower_bound=1)
_FIRST = flags.DEFINE_integer("first_seed", 0, "seed of the first one", lower_bound=0)
_CORE = flags.DEFINE_enum("core", "cortex-m7", sorted(emulator.CORES), "processor")


def mismatches_of_seed(machine: emulator.KernelEmulator, kind: OpKind, seed: int) -> int:
    """Values of one random operator that differ; odd seeds draw extreme parameters.

    Every third seed lets y overwrite x where the operator allows it.
    """
    rng = np.random.default_rng(seed)
    extreme = bool(seed % 2)
    op = generators.random_op(kind, rng, extreme=extreme)
    x = generators.random_input(op, rng, extreme=extreme)
    expected = reference.run(op, x)
    run = run_operator(machine, op, x, alias=seed % 3 == 0 and can_alias(op))
    return int((run.y != expected).sum())


def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"got argument {argv[1]!r}, expected only flags")
    core = emulator.CORES[_CORE.value]
    machine = emulator.KernelEmulator(emulator.build(core), core)
    failed = False
    for kind in OpKind:
        seeds = range(_FIRST.value, _FIRST.value + _COUNT.value)
        bad = [
            s
            for s in tqdm(seeds, kind.name, leave=False, disable=None)
            if mismatches_of_seed(machine, kind, s)
        ]
        print(f"{kind.name:12s} {len(seeds)} operators, {len(bad)} differ {bad[:5] or ''}")
        failed = failed or bool(bad)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
