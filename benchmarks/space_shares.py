# SPDX-License-Identifier: Apache-2.0
"""How much of each named space fits each built-in board: the census of `nas.report`, recorded.

    python -m benchmarks.space_shares --out=docs/results/space_shares.json [--spaces=mcu_32,s3_t]

The image arrives in rows where a network can take it so; everything else of the board is free.
Shares of spaces of one stage are counted, those of spaces of stages estimated from random networks,
of a large one from fewer, whose arenas take the planner seconds each. A pair of space and board
that the record has is not counted again: remove the file after a change of kernels or of cost.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.versions import versions_of
from boards import board_names, get_board
from nas.cost.census import take_census
from nas.cost.census_figures import Census
from nas.cost.model import CostModel
from nas.cost.staged_census import staged_census
from nas.cost.targets import Target
from nas.space.any_space import Searchable
from nas.space.presets import ALL_SPACES, get_space
from nas.space.staged_space import StagedSpace
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("space_shares", __doc__)
_SPACES = flags.spaces(FLAGS, list(ALL_SPACES), "Named spaces.")
_DRAWN = flags.samples(FLAGS, 200, "Random networks of a space of stages.")
flags.out(FLAGS, "File of the record, gone on with.")

LARGE_SIDE, FEWER = 224, 30  # pixels, and networks of such a space of stages


@dataclasses.dataclass(frozen=True)
class Row:
    """A space on a board.

    Attributes:
      share_sram, share_flash, share_both: of its networks, 0..1.
      interval: half the width of the 95 % interval of `share_both`; 0 where it is exact.
      drawn: random networks that it was estimated from; 0 where all were counted.
      largest_params: parameters of the largest network found that fits; None if none does.
    """

    space: str
    board: str
    share_sram: float
    share_flash: float
    share_both: float
    interval: float
    drawn: int
    largest_params: int | None


def _census(space: Searchable, model: CostModel, drawn: int) -> Census:
    if not isinstance(space, StagedSpace):
        return take_census(space, model)
    return staged_census(
        space, model, min(drawn, FEWER) if space.image_size >= LARGE_SIDE else drawn
    )


def counted(name: str, board: str, drawn: int) -> Row:
    """One space on one board."""
    space = get_space(name)
    census = _census(space, CostModel(Target.of_board(get_board(board))), drawn)
    total = census.total
    shares = (n / total for n in (census.fit_sram, census.fit_flash, census.fit_both))
    largest = None if census.largest is None else space.arch(census.largest).params
    return Row(name, board, *shares, census.interval, census.drawn, largest)


def _pairs(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    known = {(row["space"], row["board"]) for row in rows}
    for name in _SPACES.value:
        for board in board_names():
            if (name, board) not in known:
                yield name, board


def _body() -> None:
    rows: list[dict[str, Any]] = []
    if os.path.exists(FLAGS.out):
        with open(FLAGS.out, encoding="utf-8") as file:
            rows = json.load(file)["rows"]
    for name, board in _pairs(rows):
        started = time.process_time()
        row = counted(name, board, _DRAWN.value)
        rows.append(dataclasses.asdict(row))
        print(f"{row} {time.process_time() - started:.1f} CPU s", flush=True)
        command, versions = typed_command("benchmarks.space_shares"), versions_of("numpy")
        write_json(FLAGS.out, {"command": command, "versions": versions, "rows": rows})


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
