# SPDX-License-Identifier: Apache-2.0
"""MLPerf Tiny's runner instead of the client: what `--harness` adds to a firmware project.

The runner (mlcommons/tiny, benchmark/runner) sends inputs of one of its benchmarks as bytes and
reads results as decimal numbers. What its bytes become in the model's input is a table, made here
from the file's contract; firmware/src/harness is the rest.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path, PurePosixPath

from boards import Board
from boards.console import Console, Pin
from converter.compile.interface import ImageInterface
from converter.contract import stated_by
from converter.tflite import parse
from firmware.errors import FirmwareError, ModelError
from firmware.library.pixels import pixels_of
from firmware.project import Group, Project, ProjectFile

_MAIN = PurePosixPath("src/app/main.c")  # of the application that talks to the client
ENERGY_BAUD = 9600
_SOURCES = Path(__file__).parent / "src" / "harness"


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """One of the runner's benchmarks.

    Attributes:
      name: as the runner calls the model.
      shape: of what it sends: height, width, channels.
      pixels: it sends pixels 0..255; else the input's int8 themselves.
    """

    name: str
    shape: tuple[int, int, int]
    pixels: bool


# Anomaly detection (ad01) sends float32, which is not made here.
BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("ic01", (32, 32, 3), True),
        Benchmark("vww01", (96, 96, 3), True),
        Benchmark("kws01", (49, 10, 1), False),
    )
}


def _tables(model: bytes, image: ImageInterface, benchmark: Benchmark) -> list[str]:
    """C lines of the tables of pixels."""
    if not benchmark.pixels:
        return ["#define HARNESS_TABLES 0"]
    pixels = pixels_of(parse(model), image)
    if pixels is None:
        raise ModelError(
            f"--harness={benchmark.name}: nothing says how pixels become the model's input: make "
            "the file again with --mean and --std of converter.fuse"
        )
    if pixels.reversed_channels:
        raise ModelError(
            f"--harness={benchmark.name}: the model takes blue first, the runner sends red first: "
            "give a model for RGB"
        )
    rows = ["{" + ", ".join(str(int(n)) for n in row) + "}" for row in pixels.table]
    return [
        f"#define HARNESS_TABLES {len(rows)}",
        "// clang-format off",
        f"#define HARNESS_STEPS {{{', '.join(rows)}}}",
        "// clang-format on",
    ]


def energy_board(board: Board, pin: str) -> tuple[Board, Pin]:
    """A board as energy mode wants it, whose line is as slow as that of the runner's IO manager,
    and the pin whose falling edges are timestamps.

    Raises:
      FirmwareError: no pin, one that the board uses, or a board without drivers of its pins.
    """
    stm32, console = board.stm32, board.console
    if stm32 is None or not isinstance(console, Console):
        raise FirmwareError(
            f"--timestamp_pin: {board.name} names no family of STM32, whose pins the firmware "
            "drives: give one that does"
        )
    try:
        found = Pin.parse(f"{pin}:0")
    except ValueError as error:
        raise FirmwareError(f"--timestamp_pin={pin}: expected a pin such as PC6") from error
    used = (console.transmit, console.receive, *(board.quad_spi.pins if board.quad_spi else ()))
    if (found.port, found.number) in {(each.port, each.number) for each in used}:
        raise FirmwareError(f"--timestamp_pin={pin}: {board.name} uses it: give another pin")
    if not 16 <= console.clock_hz / ENERGY_BAUD <= 0xFFFF:
        raise FirmwareError(
            f"--timestamp_pin: {console.name} cannot run at {ENERGY_BAUD} baud from "
            f"{console.clock_hz} Hz"
        )
    return dataclasses.replace(board, console=dataclasses.replace(console, baud=ENERGY_BAUD)), found


def _energy(pin: Pin | None) -> list[str]:
    """C lines of energy mode; of performance mode without a pin."""
    if pin is None:
        return ["#define HARNESS_ENERGY 0"]
    return [
        "#define HARNESS_ENERGY 1",
        f"#define HARNESS_PIN_PORT {ord(pin.port) - ord('A')}u",
        f"#define HARNESS_PIN {pin.number}u",
    ]


def with_harness(
    project: Project,
    name: str,
    model: bytes,
    image: ImageInterface | None,
    pin: Pin | None = None,
) -> Project:
    """The project with the harness of one of `BENCHMARKS` instead of the client's protocol.

    Args:
      project: of the compiled runtime.
      model: the file.
      image: of its interface; None where it takes none.
      pin: of energy mode's timestamps (`energy_board`); None: performance mode.

    Raises:
      ModelError: the benchmark's inputs are not the model's.
    """
    benchmark = BENCHMARKS[name]
    if image is None or (image.height, image.width, image.channels) != benchmark.shape:
        got = "no int8 image" if image is None else f"{image.height}x{image.width}x{image.channels}"
        wanted = "x".join(str(n) for n in benchmark.shape)
        raise ModelError(
            f"--harness={name}: the model takes {got}, the benchmark sends {wanted}: give a model "
            "for that"
        )
    task = stated_by(parse(model)).task
    if task.dense:
        raise ModelError(
            f"--harness={name}: the model is for {task.name}, the runner takes a value for each "
            "class: give a classifier"
        )
    config = [
        "// SPDX-License-Identifier: Apache-2.0",
        "// What MLPerf Tiny's runner sends, and how it becomes the model's input.",
        "#ifndef HARNESS_CONFIG_H_",
        "#define HARNESS_CONFIG_H_",
        "",
        f'#define HARNESS_MODEL "{benchmark.name}"',
        *_tables(model, image, benchmark),
        *_energy(pin),
        "",
        "#endif  // HARNESS_CONFIG_H_",
    ]
    files = [
        *(file for file in project.files if file.path != _MAIN),
        *(
            ProjectFile(PurePosixPath("src/harness") / path.name, Group.FIRMWARE, origin=path)
            for path in sorted(_SOURCES.iterdir())
        ),
    ]
    text = "\n".join(config) + "\n"
    config_file = PurePosixPath("board/harness_config.h")
    files.append(ProjectFile(config_file, Group.FIRMWARE, text=text))
    return dataclasses.replace(project, files=tuple(files))
