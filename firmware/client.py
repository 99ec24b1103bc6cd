# SPDX-License-Identifier: Apache-2.0
"""`python -m firmware.client`: sends images to a board and checks its answers.

    python -m firmware.client --port=/dev/ttyACM0 --images=photos/ --model=fused.tflite
    python -m firmware.client --elf=build/firmware.elf --images=photos/ --noise=0.001

With --model every logit is compared with the host runtime's, and --png draws an output that is a
picture beside the image, as the file's task means it; --question is asked about every image of a
model that takes one. --sentence is instead of --images where the model takes a text; a board whose
model takes sub-words cuts it itself. --elf talks to the emulated board through its serial port;
--noise then damages bytes on that line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from boards import BOARD_HELP, get_board
from converter.compile import CompileError
from converter.contract import Stated
from converter.contract_flags import ContractFlags
from converter.runtimes.host import HostModel
from firmware.asking import Asked, asked_by, rows_of
from firmware.command import elf_flag
from firmware.connection import BoardInfo, BoardResult, Connection, Transport
from firmware.emulator.emulator import Emulator
from firmware.emulator.limit import instructions_in, waiting
from firmware.emulator.serial_line import EmulatedSerial
from firmware.errors import FirmwareError, ModelError
from firmware.images import InputSteps, find_images
from firmware.model import named_model
from firmware.model_info import ModelInfo
from firmware.pictures import expect_picture, picture_of
from firmware.texts import text_by
from firmware.transports import NoisyTransport, SerialTransport
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_atomic, write_json
from tflm_vit.run import run

FLAGS = flags.FlagSet("client", __doc__)
FLAGS.string("port", "", "Serial port of the board, e.g. /dev/ttyACM0, or socket://host:port.")
FLAGS.integer("baud", 115200, "Bits per second.", 1, 100_000_000)
elf_flag(FLAGS, "Image to run on the emulated board instead.")
flags.board(FLAGS, f"Board of --elf. {BOARD_HELP}", "stm32f746g_disco")
FLAGS.number("noise", 0.0, "Share of damaged bytes, with --elf.", 0.0, 0.5)
flags.seed(FLAGS, "Of the noise.")
flags.images(FLAGS, "Also .npy files.")
flags.count(FLAGS, "Send only the first so many images; 0: all.")
flags.model(FLAGS, "Fused .tflite to compare with, on the host runtime.", required=False)
_CONTRACT = ContractFlags(FLAGS)
FLAGS.string("sentence", "", "Of a model that takes one, instead of --images; needs --model.")
FLAGS.needs_one_of("images", "sentence")
flags.question(FLAGS)
flags.timeout(FLAGS)
FLAGS.boolean("operators", False, "Print cycles per operator of the last image.")
flags.json(FLAGS)
flags.png(FLAGS)


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
    png: str = ""
    question: str = ""
    sentence: str = ""
    given: Stated = dataclasses.field(default_factory=Stated)


def _transport(options: Options) -> Transport:
    if bool(options.port) == bool(options.elf):
        raise FirmwareError("give either --port (a board) or --elf (an image to emulate)")
    if options.port:
        if options.noise:
            raise FirmwareError("--noise is for the emulated board (--elf) only")
        return SerialTransport(options.port, options.baud)
    board = get_board(options.board)
    emulator = Emulator(board, Path(options.elf), limit=instructions_in(board, options.timeout))
    emulated = EmulatedSerial(emulator)
    return NoisyTransport(emulated, options.seed, options.noise) if options.noise else emulated


def _host_logits(options: Options, stacks: tuple[NDArray[np.int8], ...]) -> NDArray[np.int8] | None:
    if not options.model:
        return None
    with named_model(options.model) as model:
        try:
            host = HostModel(model)
            if len(stacks) == 1:
                return host.run(*stacks)
            return host.run_stacks(stacks)[0].reshape(len(stacks[0]), -1)
        except CompileError as error:
            raise ModelError(str(error)) from None


def run_client(options: Options) -> dict[str, Any]:
    """Sends every image, or the text; returns the report."""
    if options.sentence and options.images:
        raise FirmwareError("give either --images or --sentence, for a model that takes a text")
    connection = Connection(_transport(options), inference_timeout_s=options.timeout)
    info = connection.info()
    model = info.model
    asked = asked_by(options.model, options.question, options.given)
    if asked is None:
        model.expect_image()
    text = text_by(options.model, options.sentence, options.given)
    if text is None:
        names, images, stacks = _pictures(options, model, asked)
    else:
        names, images = [text.name], text.steps[None]
        stacks = (images,)
    expected = _host_logits(options, stacks)
    if options.png:
        expect_picture(options.model)
    if expected is not None and expected.shape[1] != model.classes:
        raise FirmwareError(
            f"{options.model} has {expected.shape[1]} classes, the board's model {model.classes}"
        )
    rows, outputs = [], []
    mismatches = 0
    for index, name in enumerate(tqdm(names, unit="image", disable=len(names) < 2)):
        if text is not None and text.cut_on_board:
            result = connection.classify_text(text.raw, model.row_bytes)
        else:
            result = connection.classify(images[index])
        if expected is not None and not np.array_equal(result.logits, expected[index]):
            mismatches += 1
        rows.append(_row(name, result, info))
        if text is not None:
            rows[-1] |= {"answer": text.answer(result.best_class)}
        if asked is not None:
            rows[-1] |= {"question": options.question, "answer": asked.answer(result.best_class)}
        outputs.append(result.logits)
    if options.png:
        write_atomic(options.png, picture_of(options.model, images, np.stack(outputs)))
    report: dict[str, Any] = {
        "board": info.name,
        "clock_hz": info.clock_hz,
        "emulated": bool(options.elf),
        "images": rows,
        "mismatches": mismatches if expected is not None else None,
        "repeated_requests": connection.repeated,
        "restarted_images": connection.restarted,
    }
    if options.operators:
        counts = connection.operators(model.operators)
        report["operators"] = [dataclasses.asdict(count) for count in counts]
    return report


def _pictures(
    options: Options, model: ModelInfo, asked: Asked | None
) -> tuple[list[str], NDArray[np.int8], tuple[NDArray[np.int8], ...]]:
    """Names of --images, the rows of each, and the model's inputs."""
    files = find_images(options.images, model.image_shape if asked is None else asked.image_shape)
    files = files[: options.count] if options.count else files
    names, arrays = [file.name for file in files], [file.pixels() for file in files]
    if asked is not None:
        stacks: tuple[NDArray[np.int8], ...] = asked.stacks(arrays)
        return names, rows_of(stacks, model), stacks
    if any(array.dtype == np.uint8 for array in arrays):
        steps = InputSteps.of(model, options.model, options.given)
        arrays = [steps.steps(array) for array in arrays]
    images = np.stack([array.astype(np.int8) for array in arrays])
    return names, images, (images,)


def _row(name: str, result: BoardResult, info: BoardInfo) -> dict[str, Any]:
    return {
        "image": name,
        "class": result.best_class,
        "logit": int(result.logits[result.best_class]),
        "cycles": result.cycles or None,
        "milliseconds": round(1000 * result.cycles / info.clock_hz, 3) or None,
        "stack_high_water_bytes": result.stack_high_water_bytes,
    }


def _print(report: dict[str, Any]) -> None:
    emulated = report["emulated"]
    cycles, time = ("instructions", "ms, estimate") if emulated else ("cycles", "ms")
    print(f"{'image':<40}{'class':>6}{'logit':>7}{cycles:>16}{time:>14}")
    for row in report["images"]:
        counted, passed = row["cycles"], row["milliseconds"]
        print(
            f"{row['image'][-39:]:<40}{row['class']:>6}{row['logit']:>7}"
            f"{'-' if counted is None else f'{counted:,}':>16}"
            f"{'-' if passed is None else f'{passed:,.1f}':>14}"
        )
    if emulated:
        print("estimate: one cycle an instruction at the board's clock, memory that never stalls")
    elif any(row["cycles"] is None for row in report["images"]):
        print("the board counts no cycles: its core has no cycle counter, or it is switched off")
    for row in report["images"]:
        if "answer" in row:
            print(f"  {row['image']}: {row.get('question', '')} {row['answer']}")
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
    names = [field.name for field in dataclasses.fields(Options) if field.name != "given"]
    options = Options(**{name: FLAGS[name].value for name in names}, given=_CONTRACT.given())
    expect_writable(options.json, options.png)
    with waiting(options.timeout):
        report = run_client(options)
    if options.json:
        write_json(options.json, report)
    _print(report)
    if report["mismatches"]:
        raise FirmwareError("the board's logits differ from the host runtime's")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; exits non-zero when a logit differs from the host's."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
