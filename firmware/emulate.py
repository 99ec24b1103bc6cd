# SPDX-License-Identifier: Apache-2.0
"""`python -m firmware.emulate`: classifies images on an emulated board, running its own ELF.

    python -m firmware.emulate --elf=build/firmware.elf --images=cat.png,dog.png
    python -m firmware.emulate --model=fused.tflite --images=images.npy --count=10 --profile

Without --elf the model is built for the board first. Images are image files, folders of them, or
a .npy file of int8 [N, height, width, channels] (quantized) or uint8 (pixels); --question is asked
about each where the model takes one. Any other model takes --arrays: a .npy file of [N, *shape] for
each of its inputs. Without them one image of zero points is classified, or zeros, which is enough
to count instructions.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from boards import BOARD_HELP, Board, get_board
from converter.contract import Stated
from converter.contract_flags import ContractFlags
from converter.runtimes.interface import TensorSpec
from converter.tflite import parse
from firmware.command import elf_flag, runtime_flag
from firmware.emulator.counts import FunctionCount, Inference, OperatorCount
from firmware.emulator.limit import instructions_in, waiting
from firmware.emulator.open import AUTO, ENGINES, open_emulator
from firmware.emulator.session import Session
from firmware.errors import FirmwareError
from firmware.given import Example, Wanted, examples, expect_fitting
from firmware.model import build_model, named_model
from firmware.model_info import ModelInfo
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run

__all__ = ["FunctionCount", "Inference", "ModelInfo", "OperatorCount", "Session", "main"]


FLAGS = flags.FlagSet("emulate", __doc__)
flags.board(FLAGS, BOARD_HELP, "stm32f746g_disco")
elf_flag(FLAGS, "Firmware image to run.")
flags.model(FLAGS, "Fused .tflite to build and run instead of --elf.", required=False)
_OF_BUILDING = (flags.weights_in(FLAGS).name, runtime_flag(FLAGS).name)
flags.images(FLAGS, "Also .npy files. Without it one image of zero points.")
flags.question(FLAGS)
FLAGS.files(
    "arrays",
    "A .npy file for each input of a model that takes no image, or several inputs.",
    "the number of examples is --count",
)
flags.count(FLAGS, "Classify only the first so many images; 0: all.")
_CONTRACT = ContractFlags(FLAGS)
flags.timeout(FLAGS)
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
    timeout: float
    json: str
    question: str = ""
    arrays: list[str] = dataclasses.field(default_factory=list)
    given: Stated = dataclasses.field(default_factory=Stated)

    def wanted(self) -> Wanted:
        """What the board is to get."""
        return Wanted(self.model, self.images, self.question, self.arrays, self.count, self.given)


def _make_emulator(options: _Options, work: Path) -> Session:
    board = get_board(options.board)
    if bool(options.elf) == bool(options.model):
        raise FirmwareError("give either --elf (a built image) or --model (a fused .tflite)")
    if options.elf:
        return _open(options, board, Path(options.elf))
    elf = work / "firmware.elf"
    with named_model(options.model) as model:
        build_model(model, board, elf, weights_in=options.weights_in, runtime=options.runtime)
    return _open(options, board, elf)


def _open(options: _Options, board: Board, elf: Path) -> Session:
    limit = instructions_in(board, options.timeout)
    return open_emulator(board, elf, engine=options.engine, limit=limit, strict=options.strict)


def _output_specs(options: _Options) -> tuple[TensorSpec, ...]:
    """Of the model's outputs; none where only an ELF is known."""
    if not options.model:
        return ()
    with named_model(options.model) as content:
        graph = parse(content).graph
    return tuple(TensorSpec.of(graph.tensors[i]) for i in graph.outputs)


def _record(
    example: Example, inference: Inference, is_image: bool, specs: tuple[TensorSpec, ...]
) -> dict[str, Any]:
    """For the report; what no class is read from has all outputs instead."""
    record: dict[str, Any] = {"image": example.name, "instructions": inference.instructions}
    if is_image or example.asked is not None:
        best = int(np.argmax(inference.logits))
        record |= {"class": best, "logits": inference.logits.tolist()}
        if example.asked is not None:
            record["answer"] = example.asked.answer(best)
        return record
    pairs = zip(inference.outputs, specs, strict=False)
    return record | {"outputs": [np.frombuffer(y, spec.dtype).tolist() for y, spec in pairs]}


def _said(record: dict[str, Any], specs: tuple[TensorSpec, ...]) -> str:
    """A line about one inference."""
    if "class" in record:
        answer = f", {record['answer']}" if "answer" in record else ""
        return f"class {record['class']}, logit {max(record['logits'])}{answer}"
    pairs = zip(record["outputs"], specs, strict=True)
    said = "; ".join(f"{spec}, from {min(y)} to {max(y)}" for y, spec in pairs)
    return said or "outputs of an unknown type: give --model instead of --elf"


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
    """Runs every image or example and returns the report."""
    wanted = options.wanted()
    expect_fitting(wanted)
    with tempfile.TemporaryDirectory(prefix="vit-emulate-") as work:
        emulator = _make_emulator(options, Path(work))
        if options.console:
            print(emulator.banner.strip())
        records, specs = [], _output_specs(options)
        for example in examples(wanted, emulator.model):
            inference = emulator.infer(example.data)
            record = _record(example, inference, emulator.model.is_image, specs)
            print(f"{example.name}: {_said(record, specs)}")
            records.append(record)
        return _report(options, emulator, records)


def _expect_built_flags(options: _Options) -> None:
    """Flags that say how a model is built are lost on an image that is built already."""
    for name in _OF_BUILDING:
        if options.elf and FLAGS[name].given:
            raise FirmwareError(
                f"--{name} says how --model is built, and --elf={options.elf} is built already: "
                f"leave --{name} out, or give --model instead of --elf"
            )


def _body() -> None:
    names = [field.name for field in dataclasses.fields(_Options) if field.name != "given"]
    options = _Options(**{name: FLAGS[name].value for name in names}, given=_CONTRACT.given())
    _expect_built_flags(options)
    expect_writable(options.json)
    with waiting(options.timeout):
        report = emulate(options)
    _print_table(report)
    if options.json:
        write_json(options.json, report)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
