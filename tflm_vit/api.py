# SPDX-License-Identifier: Apache-2.0
"""The stable Python interface: a `.tflite` as bytes goes in, a frozen result comes out.

    import tflm_vit

    fused = tflm_vit.fuse(Path("plain.tflite").read_bytes())
    print(fused.operators_before, "->", fused.operators, "operators,", fused.arena_bytes, "bytes")
    Path("fused.tflite").write_bytes(fused.model_bytes)
    tflm_vit.export(fused.model_bytes, "firmware_project", board="nucleo_h743zi2")

Every size is in bytes. Each function raises `tflm_vit.Error`, a ValueError whose text is the one
line that the command of that name shows, for a model or an argument that it refuses; OSError, with
the name of the file, where something cannot be written. The work's modules load on first use.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

DEFAULT_BOARD = "stm32f746g_disco"


class Error(ValueError):
    """A model or an argument is refused; the text says what was got and what to do."""


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """What a command would end with one line for is an `Error`."""
    from tflm_vit.failures import failure_line

    try:
        yield
    except OSError:
        raise
    except Exception as error:
        line = failure_line(error)
        if line is None:
            raise
        raise Error(line) from error


@dataclasses.dataclass(frozen=True)
class Planned:
    """A file with a memory plan.

    Attributes:
      model_bytes: the file.
      arena_bytes: of the plan.
      lower_bound_bytes: no plan of these buffers is smaller.
      streamed: the application pushes image rows.
    """

    model_bytes: bytes
    arena_bytes: int
    lower_bound_bytes: int
    streamed: bool

    @property
    def optimal(self) -> bool:
        """Whether the plan is proven to be the smallest one."""
        return self.arena_bytes == self.lower_bound_bytes


@dataclasses.dataclass(frozen=True)
class Fused(Planned):
    """A fused and planned file.

    Attributes:
      operators_before, operators: of the plain and of the fused graph.
      fused: what each custom operator stands for, e.g. "block 3 attention".
      not_fused: parts that could have been fused but stayed, with the reason.
    """

    operators_before: int
    operators: int
    fused: tuple[str, ...]
    not_fused: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class OperatorUse:
    """One operator of a file: live bytes while it runs, scratch among them, and multiplications."""

    name: str
    live_bytes: int
    scratch_bytes: int
    macs: int


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What a file needs.

    Attributes:
      arena_bytes, lower_bound_bytes, streamed: of its plan, or of the one that it would get.
      planned_here: the file has no plan.
      stack_bytes, static_bytes: what this toolkit's firmware takes beside the arena.
      sram_bytes: everything: arena, stack and static data.
      constant_bytes: flash for weights, biases and tables.
      file_bytes: size of the file.
      peak: index of the operator with most live bytes.
      over_budget: why the board does not hold it; "" where it does, or where no board is named.
    """

    arena_bytes: int
    lower_bound_bytes: int
    streamed: bool
    planned_here: bool
    stack_bytes: int
    static_bytes: int
    sram_bytes: int
    constant_bytes: int
    file_bytes: int
    operators: tuple[OperatorUse, ...]
    peak: int
    over_budget: str


@dataclasses.dataclass(frozen=True)
class File:
    """A generated file."""

    name: str
    content: bytes


@dataclasses.dataclass(frozen=True)
class Compiled:
    """C of a model.

    Attributes:
      files: `vit_model.h`, `vit_model.c`, the weights; docs/compiled_runtime.md.
      arena_bytes: that the application provides.
      input_bytes, output_bytes: all inputs, all outputs together.
      weights_bytes: constants.
    """

    files: tuple[File, ...]
    arena_bytes: int
    input_bytes: int
    output_bytes: int
    weights_bytes: int

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Writes each file into a folder, which is made if it is missing."""
        from tflm_vit.files import write_atomic

        for file in self.files:
            write_atomic(Path(folder) / file.name, file.content)


@dataclasses.dataclass(frozen=True)
class Exported:
    """A firmware project.

    Attributes:
      folder: where it is.
      board, format: what it is for.
      flash_bytes, external_flash_bytes: of its image; None without `check`.
      sram_bytes: of its image, with the whole stack that is reserved; None without `check`.
    """

    folder: Path
    board: str
    format: str
    flash_bytes: int | None
    external_flash_bytes: int | None
    sram_bytes: int | None


def fuse(
    model_bytes: bytes,
    *,
    residual_bits: int = 8,
    streamed: bool = False,
    arena_bytes: int | None = None,
) -> Fused:
    """Replaces the patterns of a plain int8 model by the custom operators, and plans it.

    Args:
      model_bytes: a fully int8 `.tflite` with a static batch of 1, from any converter.
      residual_bits: 8, or 16 to widen the residual stream.
      streamed: the application pushes image rows; the arena holds one strip of them.
      arena_bytes: that the arena may take; None for the least that good tiles need.
    """
    with _refusing():
        from converter.fuse import fuse_model

        result = fuse_model(model_bytes, residual_bits)
    planned = plan(result.model_bytes, streamed=streamed, arena_bytes=arena_bytes)
    report = result.report
    return Fused(
        planned.model_bytes,
        planned.arena_bytes,
        planned.lower_bound_bytes,
        planned.streamed,
        operators_before=report.ops_before,
        operators=report.ops_after,
        fused=tuple(op.label for op in report.fused),
        not_fused=tuple(map(str, report.not_fused)),
    )


def plan(
    model_bytes: bytes,
    *,
    streamed: bool = False,
    arena_bytes: int | None = None,
    time_limit_s: float | None = None,
    seed: int = 0,
) -> Planned:
    """Chooses schedules, places every buffer and writes both into the file; replaces an older plan.

    Args:
      model_bytes: a plain or fused `.tflite`.
      streamed, arena_bytes: as in `fuse`.
      time_limit_s: of the exact search; None for the planner's own.
      seed: of the search; the same seed gives the same plan.
    """
    with _refusing():
        from converter.plan import planner
        from converter.plan.model import plan_model

        limit = planner.DEFAULT_TIME_LIMIT_S if time_limit_s is None else time_limit_s
        result = plan_model(model_bytes, streamed, arena_bytes, limit, seed)
    found = result.plan
    return Planned(result.model_bytes, found.arena_bytes, found.lower_bound_bytes, found.streamed)


def inspect(model_bytes: bytes, *, streamed: bool = False, board: str = "") -> Inspection:
    """Reports memory, flash and work of a `.tflite`, plain or fused.

    Args:
      model_bytes: the file; its plan is reported, and one is made where it has none.
      streamed: how to plan a file without a plan.
      board: whose memories it should fit: a built-in board's name, or a JSON file.
    """
    with _refusing():
        from boards import get_board
        from converter import schedule
        from converter.inspect.report import firmware_budgets, inspect_model, over_budget

        found = inspect_model(model_bytes, streamed)
        limits = firmware_budgets(found, get_board(board) if board else None)
        refusal = over_budget(found, limits)
    memory, flash = found.memory, found.flash
    parts = dict(found.sram_parts(limits))
    operators = tuple(
        OperatorUse(m.name, m.live_bytes, m.scratch_bytes, schedule.macs(fused))
        for m, fused in zip(memory.ops, found.stated.ops, strict=True)
    )
    return Inspection(
        memory.arena_bytes,
        memory.lower_bound_bytes,
        memory.streamed,
        found.planned_here,
        stack_bytes=limits.stack_bytes,
        static_bytes=sum(parts.values()) - memory.arena_bytes - limits.stack_bytes,
        sram_bytes=sum(parts.values()),
        constant_bytes=flash.constant_bytes,
        file_bytes=flash.file_bytes,
        operators=operators,
        peak=memory.peak.op,
        over_budget=refusal or "",
    )


def compile(model_bytes: bytes, *, weights_in: str = "internal") -> Compiled:
    """Turns a fused and planned `.tflite` into C without an interpreter.

    Args:
      model_bytes: the file.
      weights_in: flash that holds the weights, "internal" or "external".
    """
    if weights_in not in ("internal", "external"):
        raise Error(f"weights_in: got {weights_in!r}, expected 'internal' or 'external'")
    with _refusing():
        from converter.compile import compile_model

        model = compile_model(model_bytes, external_weights=weights_in == "external")
    interface = model.interface
    return Compiled(
        tuple(File(file.name, file.content) for file in model.files),
        interface.arena_bytes,
        interface.input_bytes,
        interface.output_bytes,
        model.weights_bytes,
    )


def export(
    model_bytes: bytes,
    folder: str | os.PathLike[str],
    *,
    board: str = DEFAULT_BOARD,
    format: str = "cmake",
    variant: str = "",
    runtime: str = "compiled",
    weights_in: str = "auto",
    name: str = "vit_firmware",
    overwrite: bool = False,
    check: bool = True,
) -> Exported:
    """Writes a firmware project that builds without this toolkit.

    Args:
      model_bytes: a fused and planned `.tflite`.
      folder: to make; `overwrite` replaces one that exists.
      board: name of a built-in board, or a JSON file.
      format, variant: of the project, see `firmware.export --help`.
      runtime: "compiled", or "tflm", which needs TFLM_DIR.
      weights_in: "internal" or "external" flash; "auto": internal where they fit.
      name: of the project and its executable.
      check: build it first, so that a model that does not fit the board is refused.
    """
    import tempfile

    with _refusing(), tempfile.TemporaryDirectory(prefix="vit-export-") as work:
        from boards import get_board
        from firmware.export import export_project
        from firmware.model import project_from_model

        chosen = get_board(board)
        project = project_from_model(
            model_bytes, chosen, Path(work), weights_in=weights_in, name=name, runtime=runtime
        )
        use = export_project(
            project, format, Path(folder), overwrite=overwrite, check=check, variant=variant
        )
    return Exported(
        Path(folder),
        chosen.name,
        format,
        flash_bytes=None if use is None else use.flash_bytes,
        external_flash_bytes=None if use is None else use.external_flash_bytes,
        sram_bytes=None if use is None else use.sram_total_bytes(use.stack_reserved_bytes),
    )
