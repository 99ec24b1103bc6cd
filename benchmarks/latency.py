# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.latency`: what latency is made of. Estimates: no board was timed.

Instructions are the emulator's, exact. Line fills of each region, and fills that do not follow the
one before, are counted by a model of the board's data cache that the emulator feeds with every
load and store, once for each replacement (Arm does not say which the Cortex-M7 has). The time is
`converter.latency`'s, as in the search. Instructions of other cores with the DSP extension, which
have no data cache, are counted too (`--[no]other_cores`). Of blocks that are alike one is run, and
counted as often as there are some. `--state` names the state of the project in the record, so that
a change can be compared with what was before.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import networks
from boards import Board, Region, Use, get_board
from boards.core import CPUS, LineReplacement
from converter import footprint, schedule
from converter.fuse import fuse_model
from converter.latency import (
    ASSUMES,
    Estimate,
    Reads,
    cycles_per_instruction,
    estimate,
    milliseconds,
)
from converter.plan import plan_model
from converter.plan.fills import ArenaMemory, plan_fills
from converter.plan.lifetimes import ModelProblem
from converter.plan.problem import Placement
from converter.plan.weightless import weightless_graph
from firmware.code_table import generic_board
from firmware.elf import Elf
from firmware.emulator.data_cache import RegionAccesses
from firmware.emulator.emulator import Emulator
from firmware.model import build_model
from keras_models.arch import ArchConfig
from keras_models.load import expect_one_stage, resolve_arch
from tflm_custom_ops.ops import OpKind, Params, kind_of, operator_of
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("latency", __doc__)
_OUT = flags.out(FLAGS, "Record, e.g. docs/results/latency.json; what it has of others is kept.")
_NETWORKS = flags.networks(FLAGS, ["vit_t_240"])
_STATE = FLAGS.string("state", "now", "What the record calls this state of the project.")
_OTHER_CORES = FLAGS.boolean("other_cores", True, "Count instructions of other cores too.")
BOARD = "stm32f746g_disco"
OTHER_CORES = ("cortex-m4", "cortex-m33")
FLASH_BYTES = 1 << 25  # of the boards that these are on, for all weights
_RESIDENT = FLAGS.boolean("resident", False, "Plan the image whole in the arena.")
_ARENA_ORDER = {
    "planner": "as the planner leaves it",
    "by_access": "by access",
    "resident_planner": "resident, tokens where the image leaves them",
    "resident": "resident, tokens moved",
}


def cycles(ops: Sequence[Params | None], instructions: Sequence[float], board: Board) -> float:
    """Core cycles of a network's operators, with memory that never stalls.

    Args:
      ops: the file's operators; None for builtin ones.
      instructions: of each in one inference.
    """
    return sum(
        count * cycles_per_instruction(board.core.name, "" if op is None else operator_of(op).CODE)
        for op, count in zip(ops, instructions, strict=True)
    )


def with_formula(
    planned: tuple[ModelProblem, Placement],
    instructions: Sequence[float],
    board: Board,
    weights: Region,
    memory: ArenaMemory,
) -> Estimate:
    """With the weights that the schedules say are read, from where they lie, and the estimated
    line fills of the arena."""
    stated, placement = planned
    ops = stated.ops
    traffic = sum(schedule.cost(op).weight_bytes for op in ops if op is not None)
    reads = [Reads(weights, traffic)]
    if memory.cache is not None:
        fills = sum(plan_fills(stated, placement.offsets, memory))
        reads.append(Reads(memory.region, fills * memory.cache.line_bytes))
    return estimate(cycles(ops, instructions, board), board.clock.system_hz, reads)


def with_cache(
    ops: Sequence[Params | None],
    instructions: Sequence[float],
    board: Board,
    accesses: dict[str, RegionAccesses],
) -> Estimate:
    """With the line fills that a model of the data cache counted, by region."""
    cache = board.core.data_cache
    assert cache is not None
    reads = [
        Reads(board.region(name), found.fills * cache.line_bytes, found.seeks)
        for name, found in accesses.items()
        if found.fills
    ]
    return estimate(cycles(ops, instructions, board), board.clock.system_hz, reads)


@dataclasses.dataclass(frozen=True)
class Measured:
    """One inference with one replacement: by operator its name, instructions and accesses."""

    names: tuple[str, ...]
    instructions: tuple[int, ...]
    accesses: tuple[dict[str, RegionAccesses], ...]

    def total(self, members: Sequence[int]) -> dict[str, RegionAccesses]:
        """Of so many operators, by region; regions that nothing touched are left out."""
        found: dict[str, RegionAccesses] = {}
        for each in (self.accesses[i] for i in members):
            for name, counts in each.items():
                found[name] = found.get(name, RegionAccesses()) + counts
        return {name: counts for name, counts in found.items() if counts != RegionAccesses()}


def measure(board: Board, elf: Path, replacement: LineReplacement) -> Measured:
    """One image on the emulated board; the cache is cold."""
    emulator, watched = Emulator(board, elf), Emulator(board, elf)
    image = networks.quantized_image(emulator.model)
    # Watched, some instructions of the C kernels are not counted (1 % of a stem's).
    counts = emulator.classify(image).operators
    cache = watched.watch_cache(replacement)
    watched.classify(image)
    return Measured(
        tuple(count.name for count in counts),
        tuple(count.instructions for count in counts),
        tuple(cache.accesses(i) for i in range(len(counts))),
    )


def instructions_on(core: str, model: bytes, elf: Path) -> list[int]:
    """Of each operator on a board of a core of which nothing more is known."""
    board = generic_board(next(cpu for cpu in CPUS if cpu.name == core), FLASH_BYTES)
    build_model(model, board, elf, weights_in="internal")
    emulator = Emulator(board, elf)
    image = networks.quantized_image(emulator.model)
    return [count.instructions for count in emulator.classify(image).operators]


def shortened(arch: ArchConfig, streamed: bool) -> tuple[ArchConfig, tuple[int, ...]]:
    """The architecture with one of all blocks that are alike; by block of the whole its place.

    The first block of a resident image is none of them: its tokens lie under the image, others may
    lie elsewhere (converter.plan.arrange).
    """
    blocks = [
        (arch.heads[b], arch.mlp_ratio[b], arch.block_ranks(b), not streamed and b == 0)
        for b in range(arch.depth)
    ]
    kinds = list(dict.fromkeys(blocks))
    heads, ratios, ranks, _ = zip(*kinds, strict=True)
    short = arch.replace(heads=heads, mlp_ratio=ratios, ranks=ranks if arch.ranks else ())
    return short, tuple(kinds.index(block) for block in blocks)


def places(ops: Sequence[Params | None], blocks: Sequence[int]) -> list[int]:
    """Of a whole network's operators their places in the shortened one."""
    first = next(
        i for i, op in enumerate(ops) if op is not None and kind_of(op) is OpKind.ATTENTION
    )
    end = first + 2 * (max(blocks) + 1)
    inside = [first + 2 * block + part for block in blocks for part in (0, 1)]
    return [*range(first), *inside, *range(end, len(ops))]


def _memory(board: Board, elf: Elf) -> ArenaMemory:
    """What the arena of an image lies in."""
    region = board.place(Use.ARENA)
    fast = max(0, region.cached_base - elf.address("__arena_start"))
    return ArenaMemory(region, fast, board.core.data_cache)


def _is_external(arch: ArchConfig, board: Board) -> bool:
    """Whether the firmware puts the constants into external flash by itself."""
    _, ops = weightless_graph(arch, 8)
    constants = sum(operator_of(op).constant_bytes for op in ops if op is not None)
    room = footprint.auto_room(board.place(Use.CODE).size_bytes)
    return board.external_flash() is not None and constants > room


def _kinds(measured: Measured, ops: Sequence[Params | None], members: list[int]) -> list[Any]:
    """Operators of a kind together: how many, and the mean of one."""
    kinds: dict[str, list[int]] = {}
    for i in members:
        op = ops[i]
        kinds.setdefault("builtin" if op is None else operator_of(op).CODE, []).append(i)
    rows = []
    for name, found in kinds.items():
        fills: dict[str, int] = {}
        for i in found:
            for region, counts in measured.accesses[i].items():
                fills[region] = fills.get(region, 0) + counts.fills
        rows.append(
            {
                "operator": name,
                "count": len(found),
                "instructions": sum(measured.instructions[i] for i in found) // len(found),
                "fills": {r: round(n / len(found)) for r, n in fills.items() if n},
            }
        )
    return rows


def _network(preset: str, board: Board) -> dict[str, Any]:
    """The record of a network."""
    whole = expect_one_stage(resolve_arch(preset), f"--networks={preset}")
    streamed = not whole.stem and not _RESIDENT.value
    short, blocks = shortened(whole, streamed)
    with tempfile.TemporaryDirectory() as work:
        path, elf = Path(work) / f"{preset}.json", Path(work) / "firmware.elf"
        short.save(str(path))
        _, plain = networks.plain_model(str(path))
        planned = plan_model(fuse_model(plain).model_bytes, streamed=streamed)
        ops = planned.model_problem.ops
        # The whole network's constants decide where the weights are.
        external = _is_external(whole, board)
        build_model(
            planned.model_bytes, board, elf, weights_in="external" if external else "internal"
        )
        found = {r: measure(board, elf, r) for r in LineReplacement}
        memory = _memory(board, Elf(elf))
        others = {
            core: instructions_on(core, planned.model_bytes, elf)
            for core in (OTHER_CORES if _OTHER_CORES.value else ())
        }
    told_fills = plan_fills(planned.model_problem, planned.placement.offsets, memory)
    members = places(ops, blocks)
    lru = found[LineReplacement.LRU]
    record: dict[str, Any] = {
        "arena_bytes": planned.plan.arena_bytes,
        "arena_tightly_coupled_bytes": min(memory.fast_bytes, planned.plan.arena_bytes),
        "weights": "external" if external else "internal",
        "instructions": sum(lru.instructions[i] for i in members),
        "weight_bytes_by_formula": sum(
            schedule.cost(op).weight_bytes for op in (ops[i] for i in members) if op is not None
        ),
        "fills_by_formula": round(sum(told_fills[i] for i in members)),
        "operators": _kinds(lru, ops, members),
        "instructions_on": {
            core: sum(counts[i] for i in members) for core, counts in others.items()
        },
    }
    for replacement, measured in found.items():
        total = measured.total(members)
        counts = [measured.instructions[i] for i in members]
        told = with_cache([ops[i] for i in members], counts, board, total)
        record[replacement.value] = {
            "regions": {name: dataclasses.asdict(each) for name, each in total.items()},
            "compute_ms_estimate": round(told.compute_ms, 1),
            "low_ms_estimate": round(told.low_ms, 1),
            "high_ms_estimate": round(told.high_ms, 1),
        }
        print(f"{preset}, {replacement.value} replacement: {told}", flush=True)
    return record


def table(record: dict[str, Any]) -> list[str]:
    """Rows of docs/memory.md."""
    rows = [
        "| network, arena | line fills of SRAM: LRU, random | by formula | bytes read of QSPI: LRU "
        "| of these seeks | ms, estimate: LRU, random |",
        "|---|---|---|---|---|---|",
    ]
    line, none = record["data_cache"]["line_bytes"], {"fills": 0, "seeks": 0}
    for state, networks_of in record["states"].items():
        for name, n in networks_of.items():
            both = [n[replacement.value] for replacement in LineReplacement]
            sram = [f"{each['regions'].get('SRAM', none)['fills']:,}" for each in both]
            qspi = both[0]["regions"].get("QSPI", none)
            times = [
                f"{milliseconds(e['low_ms_estimate'])} to {milliseconds(e['high_ms_estimate'])}"
                for e in both
            ]
            formula = n.get("fills_by_formula")
            rows.append(
                f"| `{name}`, {_ARENA_ORDER.get(state, state)} | {', '.join(sram)} | "
                f"{'-' if formula is None else f'{formula:,}'} | {qspi['fills'] * line:,} | "
                f"{qspi['seeks']:,} | {'; '.join(times)} |"
            )
    return rows


def core_table(record: dict[str, Any]) -> list[str]:
    """Rows of docs/kernels.md."""
    rows = [
        f"| network, int8 | Cortex-M7 | {' | '.join(core.title() for core in OTHER_CORES)} |",
        f"|---|---|{'---|' * len(OTHER_CORES)}",
    ]
    for name, n in record["states"]["by_access"].items():
        found = (n["instructions"], *(n["instructions_on"][core] for core in OTHER_CORES))
        rows.append(f"| `{name}` | {' | '.join(f'{count:,}' for count in found)} |")
    return rows


def _body() -> None:
    board, out = get_board(BOARD), Path(_OUT.value)
    record: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    cache = board.core.data_cache
    assert cache is not None
    shape = {"bytes": cache.size_bytes, "line_bytes": cache.line_bytes, "ways": cache.ways}
    record |= {
        "command": typed_command("benchmarks.latency"),
        "board": board.name,
        "data_cache": shape,
        "assumes": ASSUMES,
        "seed": networks.SEED,
    }
    states = record.setdefault("states", {})
    for preset in _NETWORKS.value:
        states.setdefault(_STATE.value, {})[preset] = _network(preset, board)
        write_json(out, record)
    print(f"wrote {out}")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
