# SPDX-License-Identifier: Apache-2.0
"""What random networks of stages with 4 and 8 bits of weights cost, beside their operators.

    python -m benchmarks.stage_bits --samples=300 --out=docs/results/stage_bits.json

Networks of hybrid_32 whose blocks of attention choose their bits. Bytes are those of encoded
operators with random weights; instructions those of operators and convolutions on the emulated
Cortex-M7, each as it is scheduled. The other builtin operators, sums and moves of a few per cent,
are taken as estimated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from benchmarks.conv_instructions import count, machine
from benchmarks.kernels.emulator import KernelEmulator, compiler_version
from benchmarks.kernels.fit import Errors, operator_case
from benchmarks.kernels.random_ops import as_converted
from benchmarks.versions import versions_of
from converter.compile.weights import stored_bytes
from converter.plan.budget import schedule_graph
from converter.plan.weightless import weightless_graph
from keras_models.staged import StagedConfig
from nas.cost.model import CostModel
from nas.cost.targets import Target
from nas.space.staged_presets import STAGED_SPACES
from nas.space.staged_space import StagedSpace
from tests.converter.plan.vit_models import randomized
from tflm_custom_ops.ops import Params, encode
from tflm_custom_ops.ops.layouts import WeightLayout
from tflm_custom_ops.ops.parts import Linear
from tflm_custom_ops.ops.schema.struct import parts_of
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("stage_bits", __doc__)
flags.samples(FLAGS, 300, "Random networks.")
flags.seed(FLAGS, "Of the networks.")
_OUT = flags.out(FLAGS, "The record to write.")

SPACE = "hybrid_32"
MOST_MACS = 25_000_000  # of a network, for the emulator's sake
_MODEL = CostModel(Target(), streamed=False)


def space_with_bits() -> StagedSpace:
    """The space, with a choice of bits in its stages of attention."""
    space = STAGED_SPACES[SPACE]
    stages = (s.replace(weight_bits=(4, 8)) if s.heads else s for s in space.stages)
    return space.replace(stages=tuple(stages))


def _layout(op: Params) -> WeightLayout:
    """Of its layers, which have one."""
    return next((layer.layout for layer in parts_of(op, Linear)), WeightLayout.PAIRS8)


def stored(arch: StagedConfig, rng: np.random.Generator) -> int:
    """Constants of the operators, encoded with random weights; of builtin ones as estimated."""
    _, ops = weightless_graph(arch)
    blobs = (encode(randomized(op, rng))[1] for op in ops if op is not None)
    costs = zip(_MODEL.operators(arch), ops, strict=True)
    builtin = sum(cost.constant_bytes for cost, op in costs if op is None)
    return builtin + sum(stored_bytes(len(blob)) for blob in blobs)


def counted(arch: StagedConfig, rng: np.random.Generator, core: KernelEmulator) -> float:
    """Instructions of the operators, scheduled as a file of them is."""
    graph, ops = weightless_graph(arch)
    scheduled, arena = schedule_graph(graph, ops, False), _MODEL.cost(arch).arena_bytes
    total = 0.0
    each = zip(graph.operators, scheduled, _MODEL.operators(arch), strict=True)
    for operator, op, cost in each:
        if op is not None:
            values = graph.tensors[operator.inputs[0]].size
            total += operator_case(as_converted(op, _layout(op)), rng, values).run(core)
        elif cost.convolution is not None:
            total += count(core, cost.convolution, arena - cost.base_bytes)
        else:
            total += cost.schedules[0].instructions
    return total


def _body() -> None:
    expect_writable(_OUT.value)
    space, core = space_with_bits(), machine()
    rng = np.random.default_rng(FLAGS.seed)
    estimates, counts, differ, mixed = [], [], 0, 0
    for _ in tqdm(range(FLAGS.samples), unit="network", disable=None):
        while (arch := space.arch(space.sample(rng))).macs > MOST_MACS:
            pass
        cost = _MODEL.cost(arch)
        differ += cost.constant_bytes != stored(arch, rng)
        mixed += len(set(arch.weight_bits)) > 1
        estimates.append(cost.instructions)
        counts.append(counted(arch, rng, core))
    errors = Errors.of(np.array(estimates), np.array(counts))
    record = {
        "command": typed_command("benchmarks.stage_bits"),
        "seed": FLAGS.seed,
        "versions": {**versions_of("numpy", "unicorn"), "gcc": compiler_version()},
        "space": SPACE,
        "networks": FLAGS.samples,
        "of_both_bits": mixed,
        "constants_differ": differ,
        "instructions": dataclasses.asdict(errors),
    }
    write_json(_OUT.value, record)
    print(record)
    print(f"wrote {_OUT.value}")
    if differ:
        raise ValueError(f"constants of {differ} networks are not those of their operators")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
