# SPDX-License-Identifier: Apache-2.0
"""How far predicted flash and SRAM are from the linker's, for random networks on all boards.

    python -m benchmarks.flash_error --out=docs/results/flash_error.json

Networks are those of the frozen record's kind (benchmarks/frozen/random_archs.py) with zero
weights; each is linked for one of the built-in boards, or for a board of one of the
cores without drivers (firmware/code_table.py).
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.frozen.random_archs import random_form
from benchmarks.kernels.emulator import compiler_version
from boards import Board, board_names, get_board
from boards.core import CPUS
from converter import footprint
from converter.compile.used import calls_of
from converter.plan import plan_model
from converter.plan.report import flash_report
from converter.plan.weightless import fused_file, weightless_graph
from firmware.code_table import generic_board
from firmware.model import build_model
from nas.cost.targets import Firmware, Target
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("flash_error", __doc__)
_OUT = flags.out(FLAGS, "The record to write.")
_NETWORKS = FLAGS.integer("random_projects", 104, "How many.", 2)

FIRST_SEED = 3000


def boards() -> tuple[Board, ...]:
    """Those that the images are for, one after another."""
    return (*map(get_board, board_names()), *map(generic_board, CPUS))


@dataclasses.dataclass(frozen=True)
class Linked:
    """An image: what the linker says, and what was predicted; bytes."""

    board: str
    what: str
    flash_bytes: int
    flash_error: int
    sram_bytes: int
    sram_error: int


def linked(seed: int, board: Board, elf: Path) -> Linked:
    """The network of a seed, which has no stem, on a board."""
    form = random_form(seed)
    arch = form.arch
    graph, ops = weightless_graph(arch, form.residual_bits)
    planned = plan_model(fused_file(graph, ops), streamed=form.streamed)
    use = build_model(planned.model_bytes, board, elf, weights_in="internal")
    stated, target = planned.model_problem, Target.of_board(board)
    firmware = Firmware(
        calls_of(stated.graph, stated.ops), arch.image_size * arch.channels, form.streamed
    )
    constants = flash_report(stated, len(planned.model_bytes)).constant_bytes
    flash = constants + target.code_bytes(firmware)
    arena = footprint.arena_bytes(planned.plan.arena_bytes, form.streamed)
    static = target.static_bytes(firmware) - firmware.state_bytes
    sram = use.arena_bytes + use.data_bytes + use.bss_bytes
    return Linked(
        board.name if board.stm32 else board.core.name,
        form.describe(),
        use.flash_bytes,
        flash - use.flash_bytes,
        sram,
        arena + static - sram,
    )


def _figures(errors: list[int]) -> dict[str, Any]:
    sizes = np.abs(np.array(errors))
    return {"largest": int(sizes.max()), "mean": round(float(sizes.mean()), 1)}


def _body() -> None:
    expect_writable(_OUT.value)
    found, every, seed = [], boards(), FIRST_SEED
    with tempfile.TemporaryDirectory(prefix="flash-error-") as work:
        for number in tqdm(range(_NETWORKS.value), unit="network", disable=None):
            while random_form(seed).arch.stem:
                seed += 1
            found.append(linked(seed, every[number % len(every)], Path(work) / "firmware.elf"))
            seed += 1
    flash = _figures([one.flash_error for one in found])
    sram = _figures([one.sram_error for one in found])
    write_json(
        _OUT.value,
        {
            "command": typed_command("benchmarks.flash_error"),
            "first_seed": FIRST_SEED,
            "gcc": compiler_version(),
            "flash": flash,
            "sram": sram,
            "networks": [dataclasses.asdict(one) for one in found],
        },
    )
    print(f"flash {flash}, SRAM {sram}")
    print(f"wrote {_OUT.value}")


def main() -> None:
    """Entry point."""
    run(FLAGS, _body)


if __name__ == "__main__":
    main()
