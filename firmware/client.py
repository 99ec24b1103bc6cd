# SPDX-License-Identifier: Apache-2.0
"""`python -m firmware.client`: sends images to a board and checks its answers.

    python -m firmware.client --port=/dev/ttyACM0 --images=photos/ --model=fused.tflite
    python -m firmware.client --elf=build/firmware.elf --images=photos/ --noise=0.001

With --model every logit is compared with the host runtime's. --elf talks to the emulated board
through its serial port; --noise then damages bytes on that line.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from numpy.typing import NDArray
from tqdm import tqdm

from boards import BOARD_HELP, get_board
from converter.compile import CompileError
from converter.runtimes.host import HostModel
from firmware.connection import BoardInfo, BoardResult, Connection, Transport
from firmware.emulator.emulator import EmulatedSerial, Emulator
from firmware.errors import FirmwareError, ModelError
from firmware.images import find_images, quantize
from firmware.model import named_model
from firmware.transports import NoisyTransport, SerialTransport
from tflm_vit import run as command
from tflm_vit.files import expect_writable, write_json


@dataclasses.dataclass(frozen=True)
class Options:
    """The command line."""

    port: str
    baud: int
    elf: str
    board: str
    noise: float
    seed: int
    images: list[str]
    count: int
    model: str
    timeout: float
    operators: bool
    json: str


def _transport(options: Options) -> Transport:
    if bool(options.port) == bool(options.elf):
        raise FirmwareError("give either --port (a board) or --elf (an image to emulate)")
    if options.port:
        if options.noise:
            raise FirmwareError("--noise is for the emulated board (--elf) only")
        return SerialTransport(options.port, options.baud)
    emulated = EmulatedSerial(Emulator(get_board(options.board), Path(options.elf)))
    return NoisyTransport(emulated, options.seed, options.noise) if options.noise else emulated


def _host_logits(options: Options, images: NDArray[np.int8]) -> NDArray[np.int8] | None:
    if not options.model:
        return None
    with named_model(options.model) as model:
        try:
            return HostModel(model).run(images)
        except CompileError as error:
            raise ModelError(str(error)) from None


def run(options: Options) -> dict[str, Any]:
    """Sends every image; returns the report."""
    if not options.images:
        raise FirmwareError("--images is missing")
    connection = Connection(_transport(options), inference_timeout_s=options.timeout)
    info = connection.info()
    model = info.model
    files = find_images(options.images, model.image_shape)
    files = files[: options.count] if options.count else files
    images = np.stack([quantize(file.pixels(), model) for file in files])
    expected = _host_logits(options, images)
    if expected is not None and expected.shape[1] != model.classes:
        raise FirmwareError(
            f"{options.model} has {expected.shape[1]} classes, the board's model {model.classes}"
        )
    rows = []
    mismatches = 0
    for index, file in enumerate(tqdm(files, unit="image")):
        result = connection.classify(images[index])
        if expected is not None and not np.array_equal(result.logits, expected[index]):
            mismatches += 1
        rows.append(_row(file.name, result, info))
    report: dict[str, Any] = {
        "board": info.name,
        "clock_hz": info.clock_hz,
        "images": rows,
        "mismatches": mismatches if expected is not None else None,
        "repeated_requests": connection.repeated,
        "restarted_images": connection.restarted,
    }
    if options.operators:
        counts = connection.operators(model.operators)
        report["operators"] = [dataclasses.asdict(count) for count in counts]
    return report


def _row(name: str, result: BoardResult, info: BoardInfo) -> dict[str, Any]:
    return {
        "image": name,
        "class": result.best_class,
        "logit": int(result.logits[result.best_class]),
        "cycles": result.cycles,
        "milliseconds": round(1000 * result.cycles / info.clock_hz, 3),
        "stack_high_water_bytes": result.stack_high_water_bytes,
    }


def _print(report: dict[str, Any]) -> None:
    print(f"{'image':<40}{'class':>6}{'logit':>7}{'cycles':>16}{'ms':>10}")
    for row in report["images"]:
        print(
            f"{row['image'][-39:]:<40}{row['class']:>6}{row['logit']:>7}{row['cycles']:>16,}"
            f"{row['milliseconds']:>10,.1f}"
        )
    for row in report.get("operators", ()):
        print(f"  {row['name']:<44}{row['cycles']:>16,}")
    print(
        f"{report['board']}: {len(report['images'])} images, "
        f"{report['repeated_requests']} requests repeated, "
        f"{report['restarted_images']} images restarted"
    )
    if report["mismatches"] is not None:
        print(f"logits that differ from the host runtime: {report['mismatches']} images")


def _body() -> None:
    values = flags.FLAGS.flag_values_dict()
    options = Options(**{field.name: values[field.name] for field in dataclasses.fields(Options)})
    expect_writable(options.json)
    report = run(options)
    if options.json:
        write_json(options.json, report)
    _print(report)
    if report["mismatches"]:
        raise FirmwareError("the board's logits differ from the host runtime's")


def main(argv: list[str]) -> None:
    """Entry point; exits non-zero when a logit differs from the host's."""
    command.run("client", argv, _body, (FirmwareError,))


def _define_flags() -> None:
    flags.DEFINE_string(
        "port", "", "Serial port of the board, e.g. /dev/ttyACM0, or socket://host:port."
    )
    flags.DEFINE_integer("baud", 115200, "Bits per second.", lower_bound=1)
    flags.DEFINE_string("elf", "", "Image to run on the emulated board instead.")
    flags.DEFINE_string("board", "stm32f746g_disco", f"With --elf. {BOARD_HELP}")
    flags.DEFINE_float("noise", 0.0, "Share of damaged bytes, with --elf.", 0.0, 0.5)
    flags.DEFINE_integer("seed", 0, "Seed of the noise.")
    flags.DEFINE_list("images", [], "Image files, folders, or .npy files.")
    flags.DEFINE_integer("count", 0, "Send only the first images; 0 = all.", lower_bound=0)
    flags.DEFINE_string("model", "", "Fused .tflite to compare with, on the host runtime.")
    flags.DEFINE_float("timeout", 60.0, "Seconds to wait for an inference.", 0.1)
    flags.DEFINE_bool("operators", False, "Print cycles per operator of the last image.")
    flags.DEFINE_string("json", "", "Write the report to this file.")


if __name__ == "__main__":
    _define_flags()
    app.run(main)
