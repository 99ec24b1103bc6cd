# SPDX-License-Identifier: Apache-2.0
"""A fused `.tflite` -> a firmware project, and from there to an ELF and an emulated board."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from boards import Board, Use
from boards.core import CycleCounter
from boards.placement import with_fast_arena
from converter.compile import (
    CompiledModel,
    CompileError,
    compile_model,
    kernel_headers,
    kernel_sources,
)
from converter.compile.interface import row_bytes
from converter.compile.weights import WeightOrder
from converter.footprint import auto_room, static_extent
from converter.plan import Plan
from converter.tflite import parse, read_model
from firmware.build_elf import build
from firmware.elf import MemoryUse
from firmware.errors import FirmwareError, ModelError
from firmware.harness import energy_board, with_harness
from firmware.project import Project, make_project
from firmware.tflm.project import tflm_project_from_model
from tflm_vit.flags import WEIGHTS_IN

WEIGHTS_EXTERNAL = "external"
RUNTIME_COMPILED = "compiled"
RUNTIME_TFLM = "tflm"
RUNTIMES = (RUNTIME_COMPILED, RUNTIME_TFLM)
WEIGHTS_AUTO = "auto"


@contextlib.contextmanager
def named_model(path: str) -> Iterator[bytes]:
    """The content of a `.tflite`; a ModelError raised in the block gets the file's name.

    Raises:
      OSError: the file can not be read.
    """
    content = read_model(path)
    try:
        yield content
    except ModelError as error:
        raise ModelError(f"{path}: {error}", error.details) from error


def kernel_files(board: Board) -> list[Path]:
    """Sources and headers of the kernels for the board's core, with distinct names."""
    headers = kernel_headers()
    files = [*kernel_sources(board.core.name), *headers]
    names: dict[str, Path] = {}
    for path in files:
        if path.name in names:
            raise FirmwareError(f"two kernel files are called {path.name}")
        names[path.name] = path
    return files


def weight_order(board: Board) -> WeightOrder:
    """The order that the kernels of the board's core read weights in."""
    return WeightOrder.ROWS if board.core.mve else WeightOrder.PAIRS


def _compile(model: bytes, board: Board, weights_in: str, plan: Plan | None) -> CompiledModel:
    if weights_in not in WEIGHTS_IN:
        raise FirmwareError(f"weights_in {weights_in!r}, expected one of {', '.join(WEIGHTS_IN)}")
    if weights_in == WEIGHTS_EXTERNAL and board.external_flash() is None:
        raise FirmwareError(f"{board.name} has no external flash; use --weights_in=internal")
    try:
        order = weight_order(board)
        compiled = compile_model(model, plan, weights_in == WEIGHTS_EXTERNAL, order)
        if weights_in == WEIGHTS_AUTO and board.external_flash() is not None:
            room = auto_room(board.place(Use.CODE).size_bytes)
            if compiled.weights_bytes > room:
                return compile_model(model, plan, True, order)
    except CompileError as error:
        raise ModelError(str(error)) from error
    return compiled


def _fast(board: Board, model: bytes, compiled: CompiledModel, stack_bytes: int | None) -> Board:
    """The board with the arena where its accesses cost least; `converter.inspect` says the same."""
    interface = compiled.interface
    systick = board.core.cycle_counter is CycleCounter.SYSTICK
    row = row_bytes(interface.image, interface.input_bytes)
    operators = len(parse(model).graph.operators)
    return with_fast_arena(
        board,
        stack_bytes=board.stack_bytes if stack_bytes is None else stack_bytes,
        data_bytes=static_extent(operators, row, interface.streamed, systick=systick),
        arena_bytes=interface.arena_bytes,
    )


def _tflm_external(model: bytes, board: Board, weights_in: str) -> bool:
    """Whether the model file goes to external flash."""
    if weights_in not in WEIGHTS_IN:
        raise FirmwareError(f"weights_in {weights_in!r}, expected one of {', '.join(WEIGHTS_IN)}")
    if board.external_flash() is None:
        if weights_in == WEIGHTS_EXTERNAL:
            raise FirmwareError(f"{board.name} has no external flash; use --weights_in=internal")
        return False
    room = auto_room(board.place(Use.CODE).size_bytes)
    return weights_in == WEIGHTS_EXTERNAL or (weights_in == WEIGHTS_AUTO and len(model) > room)


def project_from_model(
    model: bytes,
    board: Board,
    work: Path,
    *,
    weights_in: str = WEIGHTS_AUTO,
    plan: Plan | None = None,
    name: str = "vit_firmware",
    stack_bytes: int | None = None,
    debug: bool = False,
    runtime: str = RUNTIME_COMPILED,
    harness: str = "",
    timestamp_pin: str = "",
) -> Project:
    """Compiles a fused `.tflite` and collects the project; `work` keeps the generated files.

    With `debug` the firmware checks its memory plan while it runs (Emulator.set_poison). With
    `runtime` = `tflm` the model runs in TFLM's interpreter instead (firmware.tflm). With `harness`
    it talks to MLPerf Tiny's runner (firmware.harness), with a pin such as `PC6` in energy mode.
    """
    if timestamp_pin and not harness:
        raise FirmwareError("--timestamp_pin goes with --harness: give both")
    if runtime == RUNTIME_TFLM:
        if harness:
            raise FirmwareError("--harness is for the compiled runtime: leave --runtime=tflm out")
        if debug or plan is not None or stack_bytes is not None:
            raise FirmwareError("debug, plan and stack_bytes are for the compiled runtime")
        external = _tflm_external(model, board, weights_in)
        kernels = kernel_files(board)
        return tflm_project_from_model(model, board, work, kernels, external=external, name=name)
    generated, pin = work / "model", None
    if timestamp_pin:
        board, pin = energy_board(board, timestamp_pin)
    compiled = _compile(model, board, weights_in, plan)
    compiled.write(generated)
    project = make_project(
        _fast(board, model, compiled, stack_bytes),
        generated,
        kernel_files(board),
        name=name,
        stack_bytes=stack_bytes,
        defines=(
            *(("VIT_MODEL_DEBUG",) if debug else ()),
            *(("VIT_WEIGHT_ROWS",) if weight_order(board) is WeightOrder.ROWS else ()),
        ),
    )
    if harness:
        return with_harness(project, harness, model, compiled.interface.image, pin)
    return project


def build_model(
    model: bytes,
    board: Board,
    elf: Path,
    *,
    weights_in: str = WEIGHTS_AUTO,
    plan: Plan | None = None,
    stack_bytes: int | None = None,
    debug: bool = False,
    runtime: str = RUNTIME_COMPILED,
    harness: str = "",
    timestamp_pin: str = "",
) -> MemoryUse:
    """Fused `.tflite` -> `elf` for `board`, with its sizes.

    Raises:
      FirmwareError: unsupported model, no compiler, or the image does not fit the board.
    """
    with tempfile.TemporaryDirectory(prefix="vit-firmware-") as work:
        project = project_from_model(
            model,
            board,
            Path(work),
            weights_in=weights_in,
            plan=plan,
            name=elf.stem,
            stack_bytes=stack_bytes,
            debug=debug,
            runtime=runtime,
            harness=harness,
            timestamp_pin=timestamp_pin,
        )
        return build(project, elf)
