# SPDX-License-Identifier: Apache-2.0
"""What S3-T and the space around it need, and the largest network of it that fits a board.

    python -m benchmarks.s3_memory --board=stm32f746g_disco --out=docs/results/s3_memory.json

Three things: S3-T as published (SRAM, flash, instructions by the cost model); why networks of
`s3_t` do not fit, where none does (each one's largest operator); and the space at 192 pixels, with
windows of 6 and 12 instead of 7 and 14, whose largest network within the board's memories is built
and run on the emulated board. Nothing here depends on weights: they are random.
"""

from __future__ import annotations

import collections
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.versions import versions_of
from boards import get_board
from converter.plan import plan_model
from converter.plan.weightless import fused_file, weightless_graph
from firmware.emulator.emulator import Emulator
from firmware.model import build_model
from keras_models.load import resolve_arch
from keras_models.staged import StagedConfig
from nas.cost.model import CostModel, NetworkCost
from nas.cost.staged_census import staged_census
from nas.cost.targets import Target
from nas.space.describe import describe
from nas.space.staged_presets import STAGED_SPACES
from nas.space.staged_space import StagedSpace
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

ROOMY = Target(sram_bytes=1 << 24)  # no limit of memory, least scratch with good tiles


def at_192(space: StagedSpace) -> StagedSpace:
    """The space at 192 pixels, windows of 6 and 12: stages of 48, 24, 12 and 6 tokens a side."""
    side = {0: 0, 7: 6, 14: 12}
    stages = tuple(
        dataclasses.replace(stage, window=tuple(side[w] for w in stage.window))
        for stage in space.stages
    )
    return space.replace(name=f"{space.name}_192", image_size=192, stages=stages)


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


def least_arena(space: StagedSpace, board: Target, count: int, seed: int) -> dict[str, Any]:
    """Of random networks, and of the smallest of each form: the least arena, and what it is for."""
    rng, model = np.random.default_rng(seed), CostModel(board)
    configs = [space.smallest(form) for form in space.forms()]
    configs += [space.sample(rng) for _ in range(count)]
    costs = [model.cost(space.arch(config)) for config in configs]
    least = min(costs, key=lambda cost: cost.arena_bytes)
    return {
        "networks": len(costs),
        "fit": sum(cost.fits for cost in costs),
        "least": dataclasses.asdict(Figures.of(least)),
        "largest_operators": dict(collections.Counter(cost.peak for cost in costs)),
    }


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
    }


def _body() -> None:
    board, space = Target.of_board(get_board(_BOARD.value)), STAGED_SPACES["s3_t"]
    published = Figures.of(CostModel(ROOMY).cost(resolve_arch("s3_t")))
    print(f"S3-T: {published}")
    whole = least_arena(space, board, FLAGS.samples, FLAGS.seed)
    print(f"s3_t: {whole}")
    smaller = at_192(space)
    model = CostModel(board)
    census = staged_census(smaller, model, FLAGS.samples)
    record: dict[str, Any] = {
        "command": typed_command("benchmarks.s3_memory"),
        "seed": FLAGS.seed,
        "versions": versions_of("numpy", "unicorn"),
        "board": board.to_dict(),
        "s3_t_published": dataclasses.asdict(published),
        "s3_t": whole,
        "s3_t_192": {
            "drawn": census.drawn,
            "share_sram": census.fit_sram / census.total,
            "share_flash": census.fit_flash / census.total,
            "share_both": census.fit_both / census.total,
        },
    }
    if census.largest is not None:
        arch = smaller.arch(census.largest)
        cost = model.cost(arch)
        text = describe(smaller, census.largest)
        print(f"s3_t at 192 pixels: {text}: {cost.describe()}")
        found = emulated(arch, cost.arena_bytes)
        print(f"emulated: {found}")
        predicted = dataclasses.asdict(Figures.of(cost))
        record["s3_t_192"]["largest"] = {"network": text, **predicted, "emulated": found}
    if FLAGS.out:
        write_json(FLAGS.out, record)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
