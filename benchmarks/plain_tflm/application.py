# SPDX-License-Identifier: Apache-2.0
"""Links a plain `.tflite` with TFLM's own library, and runs it on an emulated Cortex-M7.

The memory map is generic, because no plain Vision Transformer fits a board: 16 MB of flash for code
and model, 8 MB of RAM for arena and stack. The core is that of the boards.
"""

from __future__ import annotations

import dataclasses
import struct
import tempfile
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

import firmware
from boards import Board, Region, RegionKind, get_board
from converter.tflite import Graph, parse
from firmware.build_elf import build
from firmware.build_flags import FLAGS
from firmware.elf import Elf
from firmware.emulator.machine import Machine
from firmware.errors import FirmwareError
from firmware.model import kernel_files
from firmware.project import LINKER_SCRIPT, Group, Project, ProjectFile
from firmware.render import linker_script
from firmware.tflm.model_files import RESOLVER_HEADER, model_assembly, resolver_header
from firmware.tflm.project import with_tree
from firmware.tflm.sources import PROJECT_INCLUDE, operator_files, parser_source
from firmware.tflm.tree import TflmTree

LIBRARIES = "gen/cortex_m_generic_cortex-m7*/lib/libtensorflow-microlite.a"
ARENA_BYTES = 4 << 20
STACK_BYTES = 32 << 10
_STACK_PAINT = 0xA5A5A5A5  # src/cortexm/reset.S
_READY = 1
_HOST_VIEW = "<7I"  # HostView, main.cc
_LIMIT = 100_000_000_000
_HERE = Path(__file__).parent
_FIRMWARE = Path(firmware.__file__).parent / "src"
_FIRMWARE_FILES = (
    "app/console.h",
    "app/meter.h",
    "cortexm/reset.S",
    "tflm/tflm_platform.cc",
)
_OPERATORS = ("op_support.cc", "vit_gelu.cc")


def _cortex_m7() -> Board:
    """A Cortex-M7 with room for anything; TFLM's build defaults to double precision there."""
    board = get_board("stm32f746g_disco")
    source = "generic: room for a plain model"
    return dataclasses.replace(
        board,
        name="generic_cortex_m7",
        title="Generic Cortex-M7",
        part="generic",
        core=dataclasses.replace(board.core, unit=board.core.cpu.fpus[-1]),
        regions=(
            Region("FLASH", 0x0800_0000, 16 << 20, RegionKind.FLASH, 0.0, source),
            Region("SRAM", 0x2000_0000, 8 << 20, RegionKind.RAM, 0.0, source),
        ),
        quad_spi=None,
        stack_bytes=STACK_BYTES,
    )


BOARD = _cortex_m7()


@dataclasses.dataclass(frozen=True)
class OperatorTotal:
    """All operators of one type in one inference."""

    name: str
    count: int
    instructions: int


@dataclasses.dataclass(frozen=True)
class PlainRun:
    """One model in one TFLM library.

    Attributes:
      kernels: `TFLM + CMSIS-NN` or `TFLM reference kernels`, by the library's folder.
      instructions: of one inference, exact.
      arena_bytes: that TFLM took, bookkeeping included.
      code_bytes: functions of the whole program.
      flash_bytes: code, constants and initial values, without the model.
      model_bytes: of the `.tflite`.
      stack_bytes: most stack used.
      operators: instructions by operator type, most first; none with TFLM's release build.
      logits: int8[images, classes].
    """

    kernels: str
    instructions: int
    arena_bytes: int
    code_bytes: int
    flash_bytes: int
    model_bytes: int
    stack_bytes: int
    operators: tuple[OperatorTotal, ...]
    logits: NDArray[np.int8]


def libraries(tree: Path) -> list[Path]:
    """The libraries for Cortex-M7 in a TFLM tree, those with CMSIS-NN first."""
    found = sorted(tree.glob(LIBRARIES))
    return sorted(found, key=lambda path: "cmsis_nn" not in path.parts[-3])


def kernels_of(library: Path) -> str:
    """Which kernels a library has; TFLM's build puts them into the folder's name."""
    return "TFLM + CMSIS-NN" if "cmsis_nn" in library.parts[-3] else "TFLM reference kernels"


def _files(model: bytes, graph: Graph) -> list[ProjectFile]:
    model_folder = PurePosixPath("model")
    config = (
        "// SPDX-License-Identifier: Apache-2.0\n#ifndef MODEL_CONFIG_H_\n#define MODEL_CONFIG_H_\n"
        f"#define MODEL_ARENA_BYTES {ARENA_BYTES}u\n#endif  // MODEL_CONFIG_H_\n"
    )
    weights = model_assembly(".rodata.vit_weights")
    files = [
        ProjectFile(LINKER_SCRIPT, Group.FIRMWARE, text=linker_script(BOARD)),
        ProjectFile(PurePosixPath("src/main.cc"), Group.TFLM, origin=_HERE / "main.cc"),
        ProjectFile(PurePosixPath("src/marks.c"), Group.FIRMWARE, origin=_HERE / "marks.c"),
        ProjectFile(PurePosixPath("src/marks.h"), Group.FIRMWARE, origin=_HERE / "marks.h"),
        ProjectFile(model_folder / "model_config.h", Group.MODEL, text=config),
        ProjectFile(model_folder / RESOLVER_HEADER, Group.MODEL, text=resolver_header(graph)),
        ProjectFile(model_folder / "vit_model_weights.S", Group.MODEL, text=weights),
    ]
    for name in _FIRMWARE_FILES:
        group = Group.TFLM if name.endswith(".cc") else Group.FIRMWARE
        files.append(ProjectFile(PurePosixPath("src") / name, group, origin=_FIRMWARE / name))
    for path, origin in operator_files():
        if origin.suffix == ".h" or origin.name in _OPERATORS:
            files.append(ProjectFile(path, Group.TFLM, origin=origin))
    for origin in [*kernel_files(BOARD), parser_source()]:
        name = f"{origin.stem}_asm.S" if origin.suffix == ".S" else origin.name
        files.append(ProjectFile(PurePosixPath("kernels") / name, Group.KERNEL, origin=origin))
    return files


def build_application(model: bytes, tree: Path, library: Path, elf: Path) -> None:
    """Links a model that has no operator but TFLM's and VitGelu.

    Args:
      model: a plain `.tflite`, GELU replaced (`converter.runtimes.tflm.plain_gelu`).
      tree: TFLM_DIR.
      library: one of :func:`libraries`.
      elf: written when everything worked.

    Raises:
      FirmwareError: an operator that TFLM lacks, a compiler or linker message.
    """
    chosen = TflmTree(tree, library)
    with tempfile.TemporaryDirectory(prefix="vit-plain-") as work:
        weights = Path(work) / "vit_model_weights.bin"
        weights.write_bytes(model)
        binary = ProjectFile(PurePosixPath("model") / weights.name, Group.MODEL, origin=weights)
        project = Project(
            name=elf.stem,
            board=BOARD,
            files=(*_files(model, parse(model).graph), binary),
            defines=chosen.defines,
            extra_includes=(PROJECT_INCLUDE,),
            flags=dataclasses.replace(FLAGS, libraries=("-lm", *FLAGS.libraries)),
        )
        build(with_tree(project, chosen), elf)


class PlainEmulator:
    """The application, booted."""

    def __init__(self, elf: Path, graph: Graph) -> None:
        self.elf = Elf(elf)
        self.graph = graph
        self.machine = Machine(BOARD, self.elf)
        self._wait = self.elf.address("wait_for_host")
        counter = self.machine.counter
        counter.set_operators(len(graph.operators))
        marks = ("meter_start", "meter_stop", "meter_operator")
        counter.set_marks(*(self.elf.address(mark) for mark in marks))
        bottom, self._top = self.elf.address("__stack_bottom"), self.elf.address("__stack_top")
        counter.set_stack(bottom, self._top, _STACK_PAINT, self.machine.host_address(bottom))
        self.machine.run((self._wait,), _LIMIT)
        if self._view()[0] != _READY:
            raise FirmwareError(f"TFLM does not set up this model: {self._console()}")

    def _view(self) -> tuple[int, ...]:
        size = struct.calcsize(_HOST_VIEW)
        data = self.machine.read(self.elf.address("host_view"), size)
        return struct.unpack(_HOST_VIEW, data)

    def _console(self) -> str:
        size = self.machine.read_u32(self.elf.address("console_log_bytes"))
        text = self.machine.read(self.elf.address("console_log"), size).decode(errors="replace")
        return " ".join(text.split()) or "no message"

    def run(self, image: NDArray[np.int8]) -> NDArray[np.int8]:
        """Logits int8[classes] of one quantized image."""
        _, address, size, output, output_bytes, _, _ = self._view()
        if image.nbytes != size:
            raise FirmwareError(f"image has {image.nbytes} bytes, the model takes {size}")
        self.machine.write(address, image.tobytes())
        self.machine.counter.reset()
        self.machine.run((self._wait,), _LIMIT)
        if self._view()[0] != _READY:
            raise FirmwareError(f"TFLM: an operator failed: {self._console()}")
        return np.frombuffer(self.machine.read(output, output_bytes), np.int8).copy()

    @property
    def instructions(self) -> int:
        """Of the last inference."""
        return int(self.machine.counter.head.metered)

    @property
    def arena_bytes(self) -> int:
        """What TFLM took of the arena."""
        return self._view()[5]

    def stack_bytes(self) -> int:
        """Most stack used so far."""
        self.machine.counter.update_stack()
        return self._top - int(self.machine.counter.head.lowest_stack)

    def operator_totals(self) -> tuple[OperatorTotal, ...]:
        """Instructions by operator type in the last inference, most first.

        Empty where the library is of TFLM's release build, which strips profiling.
        """
        counts: dict[str, int] = {}
        totals: dict[str, int] = {}
        for index, op in enumerate(self.graph.operators):
            reading = self.machine.counter.operator(index)
            if reading.calls == 0:
                continue
            counts[op.name] = counts.get(op.name, 0) + reading.calls
            totals[op.name] = totals.get(op.name, 0) + reading.instructions
        rows = [OperatorTotal(name, counts[name], total) for name, total in totals.items()]
        return tuple(sorted(rows, key=lambda row: -row.instructions))


def run_plain(model: bytes, tree: Path, library: Path, images: NDArray[np.int8]) -> PlainRun:
    """Builds and runs; counts are those of the last image.

    Args:
      model: as for :func:`build_application`.
      images: int8[n, height, width, channels], quantized.
    """
    with tempfile.TemporaryDirectory(prefix="vit-plain-") as work:
        program = Path(work) / "plain.elf"
        build_application(model, tree, library, program)
        emulator = PlainEmulator(program, parse(model).graph)
        logits = np.stack([emulator.run(image) for image in images])
        use = emulator.elf.memory_use(BOARD)
        return PlainRun(
            kernels=kernels_of(library),
            instructions=emulator.instructions,
            arena_bytes=emulator.arena_bytes,
            code_bytes=use.code_bytes,
            flash_bytes=use.flash_bytes - emulator.elf.symbol_bytes("vit_model_weights"),
            model_bytes=len(model),
            stack_bytes=emulator.stack_bytes(),
            operators=emulator.operator_totals(),
            logits=logits,
        )
