# SPDX-License-Identifier: Apache-2.0
"""How far predicted flash and SRAM are from the linker's, for random networks on all boards.

    python -m benchmarks.flash_error --out=docs/results/flash_error.json

Networks are those of the frozen record's kind (benchmarks/frozen/random_archs.py); each is linked
for one of the built-in boards, or for a board of one of the cores without drivers
(firmware/code_table.py). Images are predicted as the search does it, from shapes alone; the same
networks behind their patch embedding (no image goes in), with a stem of convolutions, and without
fusing, as `converter.inspect` does it.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.frozen.plain_files import plain_file
from benchmarks.frozen.random_archs import RandomForm, random_form
from benchmarks.kernels.emulator import compiler_version
from boards import Board, board_names, get_board
from boards.core import CPUS
from converter import footprint
from converter.compile.used import calls_of
from converter.fuse import fuse_model
from converter.inspect.report import firmware_budgets, inspect_model
from converter.plan import PlannedModel, plan_model
from converter.plan.report import flash_report
from converter.plan.weightless import behind_the_image, fused_file, weightless_graph
from firmware.code_table import generic_board
from firmware.model import build_model
from nas.cost.targets import Firmware, Target
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("flash_error", __doc__)
_OUT = flags.out(FLAGS, "The record to write.")
_NETWORKS = FLAGS.integer("random_projects", 104, "How many that take an image.", 2)
_OTHERS = FLAGS.integer("other_projects", 24, "How many of each other kind.", 1)

FIRST_SEED = 3000
PLAN_SECONDS = 1.0  # of a graph with builtin operators; not what is measured


def boards() -> tuple[Board, ...]:
    """Those that the images are for, one after another."""
    return (*map(get_board, board_names()), *map(generic_board, CPUS))


class Kind(enum.Enum):
    """What is linked; the values stand in the record."""

    IMAGE = "image"
    TOKENS = "no image"
    STEM = "stem of convolutions"
    PLAIN = "not fused"

    def fits(self, form: RandomForm) -> bool:
        """Whether a network has that form."""
        return self is Kind.PLAIN or bool(form.arch.stem) == (self is Kind.STEM)

    def planned(self, form: RandomForm) -> PlannedModel:
        """The network's file."""
        if self is Kind.PLAIN:
            return plan_model(plain_file(form), time_limit_s=PLAN_SECONDS)
        if self is Kind.STEM:
            return plan_model(fuse_model(plain_file(form)).model_bytes, time_limit_s=PLAN_SECONDS)
        graph, ops = weightless_graph(form.arch, form.residual_bits)
        if self is Kind.TOKENS:
            graph, ops = behind_the_image(graph, ops)
        return plan_model(fused_file(graph, ops), self is Kind.IMAGE and form.streamed)


@dataclasses.dataclass(frozen=True)
class Predicted:
    """Bytes of flash, and of SRAM without the stack."""

    flash_bytes: int
    sram_bytes: int


def by_search(planned: PlannedModel, form: RandomForm, board: Board) -> Predicted:
    """From shapes."""
    arch, stated, target = form.arch, planned.model_problem, Target.of_board(board)
    calls = calls_of(stated.graph, stated.ops)
    firmware = Firmware(calls, arch.image_size * arch.channels, form.streamed)
    constants = flash_report(stated, len(planned.model_bytes)).constant_bytes
    arena = footprint.arena_bytes(planned.plan.arena_bytes, form.streamed)
    static = target.static_bytes(firmware) - firmware.state_bytes
    return Predicted(constants + target.code_bytes(firmware), arena + static)


def by_inspect(planned: PlannedModel, board: Board) -> Predicted:
    """From the file."""
    found = inspect_model(planned.model_bytes)
    limits = firmware_budgets(found, board)
    assert limits.fit is not None
    parts = dict(found.sram_parts(limits))
    return Predicted(
        limits.fit.code_bytes + found.constant_bytes, parts["arena"] + parts["static data"]
    )


@dataclasses.dataclass(frozen=True)
class Linked:
    """An image: what the linker says, and what was predicted; bytes."""

    kind: str
    board: str
    what: str
    flash_bytes: int
    flash_error: int
    sram_bytes: int
    sram_error: int


def linked(kind: Kind, seed: int, board: Board, elf: Path) -> Linked:
    """The network of a seed on a board."""
    form = random_form(seed)
    planned = kind.planned(form)
    use = build_model(planned.model_bytes, board, elf, weights_in="internal")
    is_image = kind is Kind.IMAGE
    told = by_search(planned, form, board) if is_image else by_inspect(planned, board)
    sram = use.arena_bytes + use.data_bytes + use.bss_bytes
    return Linked(
        kind.value,
        board.name if board.stm32 else board.core.name,
        form.describe(),
        use.flash_bytes,
        told.flash_bytes - use.flash_bytes,
        sram,
        told.sram_bytes - sram,
    )


def _figures(errors: list[int]) -> dict[str, Any]:
    sizes = np.abs(np.array(errors))
    return {"largest": int(sizes.max()), "mean": round(float(sizes.mean()), 1)}


def _seeds(kind: Kind, count: int) -> list[int]:
    """Of as many networks of a kind."""
    fitting = (seed for seed in itertools.count(FIRST_SEED) if kind.fits(random_form(seed)))
    return list(itertools.islice(fitting, count))


def _body() -> None:
    expect_writable(_OUT.value)
    counts = {kind: _NETWORKS.value if kind is Kind.IMAGE else _OTHERS.value for kind in Kind}
    every = boards()
    jobs = [
        (kind, seed, every[number % len(every)])
        for kind, count in counts.items()
        for number, seed in enumerate(_seeds(kind, count))
    ]
    with tempfile.TemporaryDirectory(prefix="flash-error-") as work:
        elf = Path(work) / "firmware.elf"
        shown = tqdm(jobs, unit="network", disable=None)
        found = [linked(kind, seed, board, elf) for kind, seed, board in shown]
    by_kind = {kind.value: [one for one in found if one.kind == kind.value] for kind in Kind}
    figures = {
        name: {
            "networks": len(ones),
            "flash": _figures([one.flash_error for one in ones]),
            "sram": _figures([one.sram_error for one in ones]),
        }
        for name, ones in by_kind.items()
    }
    write_json(
        _OUT.value,
        {
            "command": typed_command("benchmarks.flash_error"),
            "first_seed": FIRST_SEED,
            "gcc": compiler_version(),
            "kinds": figures,
            "networks": [dataclasses.asdict(one) for one in found],
        },
    )
    for name, said in figures.items():
        print(f"{name}: flash {said['flash']}, SRAM {said['sram']}")
    print(f"wrote {_OUT.value}")


def main() -> None:
    """Entry point."""
    run(FLAGS, _body)


if __name__ == "__main__":
    main()
