# SPDX-License-Identifier: Apache-2.0
"""What S3-T and the space around it need, and the largest network of it that fits a board.

    python -m benchmarks.s3_memory --board=stm32f746g_disco --out=docs/results/s3_memory.json

Three things: S3-T as published (SRAM, flash, instructions by the cost model); the share of `s3_t`
that fits, and what needs most of those networks' memory; and the largest network found within the
board's memories (the largest of random ones, grown choice by choice), built and run on the emulated
board. Nothing here depends on weights: they are random.
"""

from __future__ import annotations

import collections
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.versions import versions_of
from boards import get_board
from converter.plan import plan_model
from converter.plan.weightless import fused_file, weightless_graph
from firmware.emulator.emulator import Emulator
from firmware.model import build_model
from keras_models.load import resolve_arch
from keras_models.staged import StagedConfig
from nas.cost.model import CostModel, NetworkCost
from nas.cost.targets import FLASH, SRAM, Target
from nas.space.describe import describe
from nas.space.staged_presets import STAGED_SPACES
from nas.space.staged_space import StagedSpace, StagedSubnet
from tflm_custom_ops.exact_sums import exact_k_block
from tflm_custom_ops.ops import Linear
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("s3_memory", __doc__)
_BOARD = flags.board(FLAGS, "Board whose memories are the limits.", "stm32f746g_disco")
flags.samples(FLAGS, 200, "Random networks of a space.", 1)
flags.seed(FLAGS, "Of the random networks of s3_t.")
flags.out(FLAGS, "File of the record.", required=False)

PROBES = 2000  # random networks of which the largest that fits is looked for
ROOMY = Target(sram_bytes=1 << 24)  # no limit of memory, least scratch with good tiles


@dataclasses.dataclass(frozen=True)
class Figures:
    """A network by the cost model."""

    params: int
    macs: int
    sram_bytes: int
    arena_bytes: int
    constant_bytes: int
    instructions: float | None
    largest_operator: str

    @classmethod
    def of(cls, cost: NetworkCost) -> Figures:
        known = cost.instructions if np.isfinite(cost.instructions) else None
        return cls(
            cost.params, cost.macs, cost.sram_bytes, cost.arena_bytes, cost.constant_bytes, known,
            cost.peak,
        )  # fmt: skip


def shares(space: StagedSpace, model: CostModel, count: int, seed: int) -> dict[str, Any]:
    """Of random networks: how many fit, their largest operators, and the least arena."""
    rng = np.random.default_rng(seed)
    costs = [model.cost(space.arch(space.sample(rng))) for _ in tqdm(range(count), unit="network")]
    least = min(costs, key=lambda cost: cost.arena_bytes)
    return {
        "drawn": count,
        "share_sram": sum(_fits(cost, SRAM) for cost in costs) / count,
        "share_flash": sum(_fits(cost, FLASH) for cost in costs) / count,
        "share_both": sum(_fits(cost, SRAM) and _fits(cost, FLASH) for cost in costs) / count,
        "least_arena": dataclasses.asdict(Figures.of(least)),
        "largest_operators": dict(collections.Counter(cost.peak for cost in costs)),
    }


def _fits(cost: NetworkCost, memory: str) -> bool:
    return not any(excess.startswith(memory) for excess in cost.excess)


def largest(space: StagedSpace, model: CostModel, seed: int) -> StagedSubnet | None:
    """The one of random networks with the most parameters that fits, then each of its choices as
    large as fits, the ones that cost most first; None where none was found."""
    rng = np.random.default_rng((seed, 1))
    limit = model.target.external_flash_bytes or model.target.flash_bytes or 0
    networks = [space.sample(rng) for _ in range(PROBES)]
    networks = [c for c in networks if space.arch(c).params < limit]
    networks.sort(key=lambda c: space.arch(c).params, reverse=True)
    found = next((c for c in networks if model.cost(space.arch(c)).fits), None)
    if found is None:
        return None
    for name, choices in reversed(space.parameters().items()):
        params = space.to_parameters(found)
        for choice in reversed(choices[choices.index(params[name]) + 1 :]):
            larger = space.from_parameters({**params, name: choice})
            size = space.arch(larger).params
            grows = space.arch(found).params < size < limit and larger.form == found.form
            if grows and model.cost(space.arch(larger)).fits:
                found = larger
                break
    return found


def noisy(value: Any, rng: np.random.Generator) -> Any:
    """Parameters with random weights, so that no two layers share their bytes."""
    if isinstance(value, Linear):
        weights = rng.integers(-60, 61, value.weights.shape).astype(np.int8)
        return dataclasses.replace(
            value, weights=weights, k_block=exact_k_block(weights, value.bias)
        )
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    parts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
    changes = {
        name: noisy(part, rng) for name, part in parts.items() if dataclasses.is_dataclass(part)
    }
    return dataclasses.replace(value, **changes) if changes else value


def emulated(arch: StagedConfig, arena_bytes: int) -> dict[str, Any]:
    """The network in firmware on the emulated board, with the image in rows."""
    graph, ops = weightless_graph(arch)
    rng = np.random.default_rng(0)
    content = fused_file(graph, [noisy(op, rng) for op in ops])
    planned = plan_model(content, streamed=True, arena_budget=arena_bytes).model_bytes
    board = get_board(_BOARD.value)
    with tempfile.TemporaryDirectory() as work:
        elf = Path(work) / "firmware.elf"
        build_model(planned, board, elf)
        emulator = Emulator(board, elf)
    shape = (arch.image_size, arch.image_size, arch.channels)
    image = rng.integers(-128, 128, shape).astype(np.int8)
    instructions, use = emulator.classify(image).instructions, emulator.memory_use()
    return {
        "instructions": instructions,
        "arena_bytes": use.arena_bytes,
        "sram_bytes": emulator.sram_total_bytes(),
        "flash_bytes": use.flash_bytes,
        "external_flash_bytes": use.external_flash_bytes,
        "kernel_code_bytes": use.kernel_code_bytes,
    }


def _body() -> None:
    board, space = Target.of_board(get_board(_BOARD.value)), STAGED_SPACES["s3_t"]
    published = Figures.of(CostModel(ROOMY).cost(resolve_arch("s3_t")))
    print(f"S3-T: {published}")
    model = CostModel(board)
    found: dict[str, Any] = {}
    if (network := largest(space, model, FLAGS.seed)) is not None:
        arch, text = space.arch(network), describe(space, network)
        cost = model.cost(arch)
        print(f"{text}: {cost.describe()}")
        run_there = emulated(arch, cost.arena_bytes)
        print(f"emulated: {run_there}")
        predicted = dataclasses.asdict(Figures.of(cost))
        found["largest"] = {"network": text, **predicted, "emulated": run_there}
    found |= shares(space, model, FLAGS.samples, FLAGS.seed)
    print(f"{space.name}: {found}")
    record: dict[str, Any] = {
        "command": typed_command("benchmarks.s3_memory"),
        "seed": FLAGS.seed,
        "versions": versions_of("numpy", "unicorn"),
        "board": board.to_dict(),
        "s3_t_published": dataclasses.asdict(published),
        space.name: found,
    }
    if FLAGS.out:
        write_json(FLAGS.out, record)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
