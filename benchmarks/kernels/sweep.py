# SPDX-License-Identifier: Apache-2.0
"""Random operators in the kernel emulator against the NumPy reference, bit for bit.

``python -m benchmarks.kernels.sweep --samples=2000 --core=cortex-m7``; exits 1 on a difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from benchmarks.kernels import emulator
from benchmarks.kernels.operators import can_alias, run_operator
from tests.tflm_custom_ops import generators
from tflm_custom_ops.ops import OpKind, run_reference
from tflm_vit import flags
from tflm_vit.run import run

FLAGS = flags.FlagSet("sweep", __doc__)
flags.samples(FLAGS, 2000, "Random operators of each kind.")
FLAGS.integer("first_seed", 0, "Seed of the first one.")
FLAGS.enum("core", "cortex-m7", sorted(emulator.CORES), "Processor.")


def mismatches_of_seed(machine: emulator.KernelEmulator, kind: OpKind, seed: int) -> int:
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


def _body() -> None:
    values = FLAGS
    core = emulator.CORES[values.core]
    machine = emulator.KernelEmulator(emulator.build(core), core)
    failed = []
    for kind in OpKind:
        seeds = range(values.first_seed, values.first_seed + values.samples)
        bad = [
            s
            for s in tqdm(seeds, kind.name, leave=False, disable=None)
            if mismatches_of_seed(machine, kind, s)
        ]
        print(f"{kind.name:12s} {len(seeds)} operators, {len(bad)} differ {bad[:5] or ''}")
        if bad:
            failed.append(kind.name)
    if failed:
        raise ValueError(f"not equal to the reference: {', '.join(failed)}")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
