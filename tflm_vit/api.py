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
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tflm_vit.results import (
    Compiled,
    Exported,
    File,
    Fused,
    Inspection,
    OperatorUse,
    Planned,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_BOARD = "stm32f746g_disco"


class Error(ValueError):
    """A model or an argument is refused; the text says what was got and what to do."""


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """What a command would end with one line for is an `Error`."""
    from tflm_vit.failures import failure_line
    from tflm_vit.installed import expect_own_rooms

    try:
        expect_own_rooms()
        yield
    except OSError:
        raise
    except Exception as error:
        line = failure_line(error)
        if line is None:
            raise
        raise Error(line) from error


def fuse(
    model_bytes: bytes,
    *,
    residual_bits: int | None = None,
    streamed: bool = False,
    arena_bytes: int | None = None,
    weight_bits: int = 8,
    constant_bytes: int | None = None,
    inputs: Sequence[NDArray[Any]] = (),
    int8_io: bool = False,
) -> Fused:
    """Replaces the patterns of a plain int8 model by the custom operators, and plans it.

    Args:
      model_bytes: a fully int8 `.tflite` with a static batch of 1, from any converter.
      residual_bits: 8, or 16 to widen the residual stream; None: 8, but 16 for a stream that the
        file has in float.
      streamed: the application pushes image rows; the arena holds one strip of them.
      arena_bytes: that the arena may take; None for the least that good tiles need.
      weight_bits: 8, or 4 for all layers.
      constant_bytes: that an image's constants may take: 4 bits for as few layers as it needs,
        with weight_bits 8.
      inputs: images for example, as the network takes them: what is fused is checked on them, and
        weights of 4 bits are rounded against them, without them each goes to the nearest number;
        float tensors between integers get their ranges on them, without them bounds.
      int8_io: inputs and outputs of float32, uint8 or int16 become int8: QUANTIZE and DEQUANTIZE at
        the ends are left out. Those of int64 become int32.
    """
    with _refusing():
        from converter.fuse import fuse_model
        from converter.fuse.int8_io import with_int8_io
        from converter.weight_bits.fused import expect_within, round_file
        from converter.weight_bits.wanted import WeightBits

        wanted, rounded = WeightBits.chosen(weight_bits, constant_bytes), None
        probes = [[x] for x in inputs] or None
        if int8_io:
            model_bytes = with_int8_io(model_bytes)
        if wanted is not None:
            rounded = round_file(model_bytes, wanted, residual_bits, probes=probes)
            model_bytes = rounded.model_bytes
        result = fuse_model(model_bytes, residual_bits, probes=probes)
        if wanted is not None:
            expect_within(result.model_bytes, wanted)
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
        layers_of_4_bits=() if rounded is None else rounded.report.small_layers,
        weights_sqnr_db=None if rounded is None else rounded.report.sqnr_db,
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
        constant_bytes=found.constant_bytes,
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
    """Writes a firmware project, or a library for one, that builds without this toolkit.

    Args:
      model_bytes: a fused and planned `.tflite`.
      folder: to make; `overwrite` replaces one that exists.
      board: name of a built-in board, or a JSON file.
      format, variant: of the project, see `firmware.export --help`; "library" is C for a firmware
        of your own.
      runtime: "compiled", or "tflm", which needs TFLM_DIR.
      weights_in: "internal" or "external" flash; "auto": internal where they fit.
      name: of the project and its executable; of a library, the prefix of all its symbols.
      check: build it first, so that a model that does not fit the board is refused, and the stack
        of a library is measured.
    """
    import tempfile

    with _refusing(), tempfile.TemporaryDirectory(prefix="vit-export-") as work:
        from boards import get_board
        from firmware.export import export_library, export_project
        from firmware.formats import get_library_format
        from firmware.model import project_from_model

        chosen = get_board(board)
        if get_library_format(format) is not None:
            library = export_library(
                model_bytes,
                chosen,
                format,
                Path(folder),
                name=name,
                variant=variant,
                runtime=runtime,
                weights_in=weights_in,
                overwrite=overwrite,
                check=check,
            )
            sizes = library.sizes(external=weights_in == "external")
            return Exported(Path(folder), chosen.name, format, *sizes)
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
