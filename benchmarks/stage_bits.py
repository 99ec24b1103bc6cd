# SPDX-License-Identifier: Apache-2.0
"""What random networks of stages with 4 and 8 bits of weights cost, beside their operators.

    python -m benchmarks.stage_bits --samples=200 --out=docs/results/stage_bits.json

Networks of hybrid_32 whose blocks choose their bits: those of attention, those of convolutions, or
all. Bytes are those of operators and convolutions encoded with random weights; instructions those
on the emulated Cortex-M7, each as it is scheduled. The other builtin operators, sums and moves of a
few per cent, are taken as estimated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.conv_instructions import convolution_of, count, machine
from benchmarks.kernels.emulator import KernelEmulator, compiler_version
from benchmarks.kernels.fit import Errors, operator_case
from benchmarks.kernels.random_ops import as_converted
from benchmarks.versions import versions_of
from converter.compile.convolution import packed
from converter.compile.weights import stored_bytes
from converter.plan.budget import schedule_graph
from converter.plan.weightless import weightless_graph
from keras_models.staged import StagedConfig
from nas.cost.model import CostModel
from nas.cost.targets import Target
from nas.space.stage_space import StageSpace
from nas.space.staged_presets import STAGED_SPACES
from nas.space.staged_space import StagedSpace
from tests.converter.plan.vit_models import randomized
from tflm_custom_ops.builtins.conv_work import StemConvolution
from tflm_custom_ops.builtins.schedule import STACK_BYTES
from tflm_custom_ops.ops import Params, encode
from tflm_custom_ops.ops.layouts import WeightLayout, pack_dual_channel, pack_quads
from tflm_custom_ops.ops.parts import Linear
from tflm_custom_ops.ops.schema.struct import parts_of
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("stage_bits", __doc__)
flags.samples(FLAGS, 200, "Random networks of each choice.")
flags.seed(FLAGS, "Of the networks.")
_OUT = flags.out(FLAGS, "The record to write.")

SPACE = "hybrid_32"
MOST_MACS = 25_000_000  # of a network, for the emulator's sake
_MODEL = CostModel(Target(), streamed=False)


CHOOSING: dict[str, Callable[[StageSpace], bool]] = {
    "attention": lambda stage: bool(stage.heads),
    "convolutions": lambda stage: not stage.heads,
    "both": lambda stage: True,
}


def space_with_bits(choosing: str) -> StagedSpace:
    """The space, with a choice of bits in some of its stages."""
    space, chooses = STAGED_SPACES[SPACE], CHOOSING[choosing]
    stages = (s.replace(weight_bits=(4, 8)) if chooses(s) else s for s in space.stages)
    return space.replace(stages=tuple(stages))


def _layout(op: Params) -> WeightLayout:
    """Of its layers, which have one."""
    return next((layer.layout for layer in parts_of(op, Linear)), WeightLayout.PAIRS8)


def _packed_bytes(convolution: StemConvolution) -> int:
    """Of a convolution's arrays, each where an image has it."""
    found = packed(convolution_of(convolution), "convolution", STACK_BYTES)
    layer, small = found.linear, found.linear.layout is WeightLayout.QUADS4
    weights = (pack_quads if small else pack_dual_channel)(layer.weights)
    arrays = (weights, layer.bias, layer.multiplier, found.shift)
    return sum(stored_bytes(array.nbytes) for array in arrays)


def stored(arch: StagedConfig, rng: np.random.Generator) -> int:
    """Constants of operators and convolutions, encoded with random weights; of other builtin ones
    as estimated."""
    _, ops = weightless_graph(arch)
    total = 0
    for cost, op in zip(_MODEL.operators(arch), ops, strict=True):
        if op is not None:
            total += stored_bytes(len(encode(randomized(op, rng))[1]))
        elif cost.convolution is not None:
            total += _packed_bytes(cost.convolution)
        else:
            total += cost.constant_bytes
    return total


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


def network(space: StagedSpace, rng: np.random.Generator) -> StagedConfig:
    """A random one, not too large."""
    while (arch := space.arch(space.sample(rng))).macs > MOST_MACS:
        pass
    return arch


def _measured(choosing: str, core: KernelEmulator) -> dict[str, Any]:
    """Networks of a choice: bytes that differ, and errors of instructions."""
    space, rng = space_with_bits(choosing), np.random.default_rng(FLAGS.seed)
    estimates, counts, differ = [], [], 0
    for _ in tqdm(range(FLAGS.samples), choosing, unit="network", disable=None):
        arch = network(space, rng)
        cost = _MODEL.cost(arch)
        differ += cost.constant_bytes != stored(arch, rng)
        estimates.append(cost.instructions)
        counts.append(counted(arch, rng, core))
    errors = Errors.of(np.array(estimates), np.array(counts))
    return {"constants_differ": differ, "instructions": dataclasses.asdict(errors)}


def _body() -> None:
    expect_writable(_OUT.value)
    core = machine()
    found = {choosing: _measured(choosing, core) for choosing in CHOOSING}
    record = {
        "command": typed_command("benchmarks.stage_bits"),
        "seed": FLAGS.seed,
        "versions": {**versions_of("numpy", "unicorn"), "gcc": compiler_version()},
        "space": SPACE,
        "networks": FLAGS.samples,
        "choosing": found,
    }
    write_json(_OUT.value, record)
    print(record)
    print(f"wrote {_OUT.value}")
    if differ := sum(each["constants_differ"] for each in found.values()):
        raise ValueError(f"constants of {differ} networks are not those of their operators")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
