# SPDX-License-Identifier: Apache-2.0
"""`python -m firmware.emulate`: classifies images on an emulated board, running its own ELF.

    python -m firmware.emulate --elf=build/firmware.elf --images=cat.png,dog.png
    python -m firmware.emulate --model=fused.tflite --images=images.npy --count=10 --profile

Without --elf the model is built for the board first. Images are image files, folders of them, or
a .npy file of int8 [N, height, width, channels] (quantized) or uint8 (pixels). Without --images
one image of zero points is classified, which is enough to count instructions.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from boards import BOARD_HELP, get_board
from converter.contract import ContractFlags, Stated, stated_by
from converter.tflite import parse
from firmware.command import elf_flag, runtime_flag
from firmware.emulator.counts import FunctionCount, Inference, OperatorCount
from firmware.emulator.open import AUTO, ENGINES, open_emulator
from firmware.emulator.session import Session
from firmware.errors import FirmwareError
from firmware.images import ImageFile, InputSteps, find_images
from firmware.model import build_model, named_model
from firmware.model_info import ModelInfo
from tflm_vit import flags
from tflm_vit.files import expect_writable, naming, write_json
from tflm_vit.run import run

__all__ = ["FunctionCount", "Inference", "ModelInfo", "OperatorCount", "Session", "main"]


FLAGS = flags.FlagSet("emulate", __doc__)
flags.board(FLAGS, BOARD_HELP, "stm32f746g_disco")
elf_flag(FLAGS, "Firmware image to run.")
flags.model(FLAGS, "Fused .tflite to build and run instead of --elf.", required=False)
flags.weights_in(FLAGS)
runtime_flag(FLAGS)
flags.images(FLAGS, "Also .npy files. Without it one image of zero points.")
flags.count(FLAGS, "Classify only the first so many images; 0: all.")
_CONTRACT = ContractFlags(FLAGS)
FLAGS.boolean("console", False, "Print what the firmware prints when it starts.")
FLAGS.enum(
    "engine", AUTO, ENGINES, "Emulator: auto is Unicorn, and QEMU for cores that it does not have."
)
FLAGS.boolean("profile", False, "Print instructions per function, the mean of all images.")
FLAGS.boolean("strict", False, "Also fault on unaligned LDM, LDRD and the like; slower.")
flags.json(FLAGS)


@dataclasses.dataclass(frozen=True)
class _Options:
    """The command line."""

    board: str
    elf: str
    model: str
    weights_in: str
    runtime: str
    images: list[str]
    count: int
    console: bool
    engine: str
    profile: bool
    strict: bool
    json: str
    given: Stated = dataclasses.field(default_factory=Stated)


def _make_emulator(options: _Options, work: Path) -> Session:
    board = get_board(options.board)
    if bool(options.elf) == bool(options.model):
        raise FirmwareError("give either --elf (a built image) or --model (a fused .tflite)")
    if options.elf:
        return open_emulator(board, Path(options.elf), engine=options.engine, strict=options.strict)
    elf = work / "firmware.elf"
    with named_model(options.model) as model:
        with naming(options.model):
            task = stated_by(parse(model)).task
        if task.asked is not None:
            raise FirmwareError(
                f"{options.model} takes an image and a question: build it (firmware.build), and "
                "ask that image with firmware.client --elf=... --model=... --question=..."
            )
        build_model(model, board, elf, weights_in=options.weights_in, runtime=options.runtime)
    return open_emulator(board, elf, engine=options.engine, strict=options.strict)


def _images(options: _Options, model: ModelInfo) -> Iterator[tuple[str, NDArray[np.int8]]]:
    model.expect_image()
    if not options.images:
        zero = np.full(model.image_shape, model.input_zero_point, np.int8)
        yield "zero image", zero
        return
    found: list[ImageFile] = find_images(options.images, model.image_shape)
    chosen = found[: options.count] if options.count else found
    steps = None
    for file in tqdm(chosen, unit="image", disable=len(chosen) < 2):
        pixels = file.pixels()
        if pixels.dtype == np.int8:
            yield file.name, pixels.astype(np.int8)
            continue
        steps = steps or InputSteps.of(model, options.model, options.given)
        yield file.name, steps.steps(pixels)


def _record(name: str, inference: Inference) -> dict[str, Any]:
    best = int(np.argmax(inference.logits))
    return {
        "image": name,
        "class": best,
        "logits": inference.logits.tolist(),
        "instructions": inference.instructions,
    }


def _report(options: _Options, emulator: Session, records: list[dict[str, Any]]) -> dict[str, Any]:
    use = emulator.memory_use()
    report: dict[str, Any] = {
        "board": emulator.board.name,
        "images": records,
        "instructions_per_inference": records[-1]["instructions"],
        "operators": [dataclasses.asdict(count) for count in emulator.operator_counts()],
        "memory": dataclasses.asdict(use),
        "stack_high_water_bytes": emulator.stack_high_water_bytes(),
        "sram_total_bytes": emulator.sram_total_bytes(),
    }
    if options.profile:
        report["functions"] = [
            dataclasses.asdict(
                dataclasses.replace(c, instructions=round(c.instructions / len(records)))
            )
            for c in emulator.profile()
        ]
    return report


def _print_table(report: dict[str, Any]) -> None:
    print(f"{'operator':<28}{'calls':>7}{'instructions':>16}{'stack bytes':>13}")
    for row in report["operators"]:
        print(
            f"{row['name']:<28}{row['calls']:>7}{row['instructions']:>16,}{row['stack_bytes']:>13,}"
        )
    print(f"{'inference':<35}{report['instructions_per_inference']:>16,}")
    for row in report.get("functions", ())[:20]:
        print(f"  {row['name']:<33}{row['instructions']:>16,}")
    memory = report["memory"]
    print(
        f"SRAM {report['sram_total_bytes']:,} bytes = arena {memory['arena_bytes']:,} + data "
        f"{memory['data_bytes']:,} + bss {memory['bss_bytes']:,} + stack "
        f"{report['stack_high_water_bytes']:,}"
    )
    print(
        f"flash {memory['flash_bytes']:,} bytes, external {memory['external_flash_bytes']:,}; "
        f"code {memory['code_bytes']:,}, kernels {memory['kernel_code_bytes']:,}"
    )


def emulate(options: _Options) -> dict[str, Any]:
    """Classifies every image and returns the report."""
    with tempfile.TemporaryDirectory(prefix="vit-emulate-") as work:
        emulator = _make_emulator(options, Path(work))
        if options.console:
            print(emulator.banner.strip())
        records = []
        for name, image in _images(options, emulator.model):
            record = _record(name, emulator.classify(image))
            print(f"{name}: class {record['class']}, logit {max(record['logits'])}")
            records.append(record)
        return _report(options, emulator, records)


def _body() -> None:
    names = [field.name for field in dataclasses.fields(_Options) if field.name != "given"]
    options = _Options(**{name: FLAGS[name].value for name in names}, given=_CONTRACT.given())
    expect_writable(options.json)
    report = emulate(options)
    _print_table(report)
    if options.json:
        write_json(options.json, report)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
