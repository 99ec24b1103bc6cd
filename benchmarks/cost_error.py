# SPDX-License-Identifier: Apache-2.0
"""How far the cost model's instructions are from the emulator's, for random networks.

    python -m benchmarks.cost_error --out=docs/results/cost_error.json

No operator of these networks was seen when the costs were fitted (benchmarks/kernels/fit.py). Half
of the networks are small, some with a stem (benchmarks/frozen/random_archs.py), half are blocks of
16 to 1,600 tokens and widths of 16 to 640. Each operator runs as it is scheduled, with layers like
those of the converter; a stem's convolution has what the arena leaves (builtins/conv_work.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from benchmarks.conv_instructions import count, machine
from benchmarks.frozen.random_archs import random_form
from benchmarks.kernels.emulator import KernelEmulator, compiler_version
from benchmarks.kernels.fit import Errors, histogram, operator_case
from benchmarks.kernels.random_ops import as_converted
from benchmarks.versions import versions_of
from converter.plan.budget import schedule_graph
from converter.plan.weightless import weightless_graph
from keras_models.arch import ArchConfig, BlockRanks
from nas.cost.model import CostModel
from nas.cost.targets import Target
from tflm_custom_ops.builtins.conv_work import StemConvolution
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("cost_error", __doc__)
_OUT = flags.out(FLAGS, "The record to write.")
_NETWORKS = FLAGS.integer("random_networks", 300, "How many.", 2)

FIRST_SEED = 1000  # the frozen record's networks are of seeds below 200
SEEDS = 100_000  # from one try of a network to the next
MOST_MACS = 30_000_000  # of a network, for the emulator's sake


@dataclasses.dataclass(frozen=True)
class Form:
    """A network, and how it is planned."""

    arch: ArchConfig
    residual_bits: int
    streamed: bool


def _small(seed: int) -> Form:
    found = random_form(seed)
    return Form(found.arch, found.residual_bits, found.streamed and not found.arch.stem)


def _block(rng: np.random.RandomState) -> Form:
    side, patch = int(rng.randint(4, 41)), int(rng.randint(1, 9))
    width = int(np.exp(rng.uniform(np.log(16), np.log(640))))
    head_dim = int(rng.choice([16, 24, 32, 48, 64]))
    heads = int(rng.randint(1, 7))
    ranks: tuple[BlockRanks, ...] = ()
    if rng.rand() < 0.3:
        low = min(width, heads * head_dim)
        ranks = (BlockRanks(*(int(rng.randint(4, low + 1)) for _ in range(4))),)
    arch = ArchConfig(
        name="block",
        image_size=side * patch,
        channels=int(rng.choice([1, 3])),
        num_classes=int(rng.randint(2, 1001)),
        patch_size=patch,
        embed_dim=width,
        heads=(heads,),
        mlp_ratio=(float(rng.choice([1.0, 2.0, 3.0, 4.0])),),
        head_dim=head_dim,
        ranks=ranks,
        pool="cls" if rng.rand() < 0.4 else "mean",
    )
    return Form(arch, int(rng.choice([8, 16])), bool(rng.rand() < 0.7))


def form(number: int) -> Form:
    """Network `number` of the record."""
    seed = FIRST_SEED + number
    if number % 2 == 0:
        return _small(seed)
    rng = np.random.RandomState(seed)
    while (found := _block(rng)).arch.macs > MOST_MACS:
        pass
    return found


def _model(network: Form) -> CostModel:
    return CostModel(Target(), network.streamed, network.residual_bits)


def estimate(network: Form) -> float:
    """Instructions as the search sees them."""
    return _model(network).cost(network.arch).instructions


def counted(network: Form, core: KernelEmulator) -> int:
    """Instructions of all operators, scheduled as a file of them is."""
    rng = np.random.default_rng(0)
    graph, ops = weightless_graph(network.arch, network.residual_bits)
    scheduled = schedule_graph(graph, ops, network.streamed)
    total = 0
    for operator, op in zip(graph.operators, scheduled, strict=True):
        if op is not None:
            values = int(np.prod(graph.tensors[operator.inputs[0]].shape))
            total += operator_case(as_converted(op), rng, values).run(core)
    return total + sum(count(core, *convolution) for convolution in _convolutions(network))


def _convolutions(network: Form) -> Iterator[tuple[StemConvolution, int]]:
    """The stem's, each with the scratch that the arena leaves it."""
    model = _model(network)
    arena = model.cost(network.arch).arena_bytes
    for op in model.operators(network.arch):
        if op.convolution is not None:
            yield op.convolution, arena - op.base_bytes


def describe(network: Form) -> str:
    """A few words for the record."""
    arch = network.arch
    kind = "streamed" if network.streamed else "resident"
    stem = "stem, " if arch.stem else ""
    return stem + (
        f"{arch.tokens} x {arch.embed_dim}, depth {arch.depth}, int{network.residual_bits}, {kind}"
    )


def _body() -> None:
    expect_writable(_OUT.value)
    core, networks = machine(), []
    for number in tqdm(range(_NETWORKS.value), unit="network", disable=None):
        network = form(number)
        found = {"what": describe(network), "estimate": round(estimate(network))}
        networks.append({**found, "counted": counted(network, core)})
    estimates = np.array([n["estimate"] for n in networks], np.float64)
    counts = np.array([n["counted"] for n in networks], np.float64)
    errors = Errors.of(estimates, counts)
    write_json(
        _OUT.value,
        {
            "command": typed_command("benchmarks.cost_error"),
            "first_seed": FIRST_SEED,
            "versions": {**versions_of("numpy", "unicorn"), "gcc": compiler_version()},
            "errors": dataclasses.asdict(errors),
            "histogram": histogram(estimates / counts - 1),
            "networks": networks,
        },
    )
    print(errors)
    print(f"wrote {_OUT.value}")


def main() -> None:
    """Entry point."""
    run(FLAGS, _body)


if __name__ == "__main__":
    main()
