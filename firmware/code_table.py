# SPDX-License-Identifier: Apache-2.0
"""How many bytes of flash each kernel function brings along, and what an image has without any.

    python -m firmware.code_table

For each core, every function that a generated model may call is linked into an image of one small
operator: the map says which sections the linker kept for it. What application and drivers take is
what such images have beside that. The result is converter/code_table.json; converter/code_size.py
adds up what a network's operators share.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from boards import Board, board_names, get_board
from boards.board_file import parse_board
from boards.core import CPUS, Cpu
from converter import code_size
from converter.code_size import (
    Base,
    CodeTable,
    CoreCode,
    ImageForm,
    ModelCode,
    Section,
    SectionPlace,
    Taken,
)
from converter.compile.used import fused_call, kernel_functions, parameter_structs
from converter.plan import plan_model
from converter.plan.report import flash_report
from converter.plan.weightless import behind_the_image, fused_file, weightless_graph
from converter.tflite import Graph, Operator, Tensor
from firmware.build_elf import compile_objects, link
from firmware.elf import Elf
from firmware.errors import FirmwareError
from firmware.linker_map import Kept, alignments, kept_sections, object_sizes, text_bytes
from firmware.model import project_from_model
from firmware.project import Project
from keras_models.arch import ArchConfig
from tflm_custom_ops.ops import Params, code_of, operator_of
from tflm_custom_ops.ops.gelu import operator as gelu
from tflm_custom_ops.ops.patch_embed import operator as patch_embed
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command
from toolchain import Compiler, cross_tool, raised_as, run_tool

FLAGS = flags.FlagSet("code_table", __doc__)
_OUT = flags.out(FLAGS, "The table to write.", False, str(code_size.TABLE))

SIDE = 8  # of the image of an operator by itself
JOBS = 3
_MODEL_OBJECT = Path("obj/model/vit_model.c.o")
_SIZES = Path("model/vit_sizes.c")
_NAMES = ("x", "y")  # of input and output


def generic_board(cpu: Cpu, flash_bytes: int = 1 << 20) -> Board:
    """A board of a core of which nothing more is known: no drivers, all units."""
    regions = [
        {"name": "FLASH", "origin": "0x08000000", "length": flash_bytes, "kind": "flash"},
        {"name": "SRAM", "origin": "0x20000000", "length": 1 << 19, "kind": "sram"},
    ]
    words = {"cpu": cpu.name, "fpu": cpu.fpus[-1].word, "mpu": cpu.mpu, "clock_hz": 96_000_000}
    return parse_board(json.dumps({**words, "regions": regions}), Path("any.json"))


class FirmwareForm(enum.Enum):
    """What a firmware takes, by the names of `ImageKind`'s attributes."""

    RESIDENT = "resident"
    STREAMED = "streamed"
    TENSORS = "tensors"

    @property
    def taken(self) -> Taken:
        """With the names of `_file_of`'s and `_tokens`' input and output."""
        return Taken(self is FirmwareForm.STREAMED, _NAMES if self is FirmwareForm.TENSORS else ())


def _file_of(*ops: Params, form: FirmwareForm) -> tuple[bytes, int]:
    """A planned model of a chain of operators on an image, or on an input that is none, and the
    bytes of its constants."""
    int8 = np.dtype(np.int8)
    shape: tuple[int, ...] = (SIDE,) if form is FirmwareForm.TENSORS else (SIDE, SIDE, 1)
    tensors, operators = [Tensor(_NAMES[0], (1, *shape), int8)], []
    for op in ops:
        shape = operator_of(op).output_shape(shape)
        x, blob, y = len(tensors) - 1, len(tensors), len(tensors) + 1
        zeros = np.zeros(16, np.uint8)
        tensors.append(Tensor("blob", (16,), zeros.dtype, data=zeros))
        tensors.append(Tensor(_NAMES[1], (1, *shape), int8))
        operators.append(Operator("CUSTOM", (x, blob), (y,), code_of(op)))
    graph = Graph(tuple(tensors), tuple(operators), (0,), (len(tensors) - 1,))
    planned = plan_model(fused_file(graph, ops), streamed=form is FirmwareForm.STREAMED)
    report = flash_report(planned.model_problem, len(planned.model_bytes))
    return planned.model_bytes, report.constant_bytes


@dataclasses.dataclass(frozen=True)
class LinkedImage:
    """A project with its objects, to be linked."""

    project: Project
    root: Path
    objects: tuple[Path, ...]

    @classmethod
    @contextlib.contextmanager
    def of(cls, board: Board, model: bytes) -> Iterator[LinkedImage]:
        """A model on a board, compiled."""
        with (
            raised_as(lambda error: FirmwareError(str(error), error.details)),
            tempfile.TemporaryDirectory(prefix="code-table-") as folder,
        ):
            root = Path(folder).resolve()
            project = project_from_model(model, board, root / "work", weights_in="internal")
            project.write(root)
            yield cls(project, root, tuple(compile_objects(_gcc(), project, root, JOBS)))

    def linked(self, *functions: str) -> tuple[list[Kept], int]:
        """What is kept, and the bytes of flash, where these functions are wanted too."""
        wanted = [f"-Wl,-u,{function}" for function in functions]
        flags_ = self.project.flags
        flags_ = dataclasses.replace(flags_, link=(*flags_.link, *wanted))
        elf = self.root / "image.elf"
        link(
            _gcc(), dataclasses.replace(self.project, flags=flags_), self.root, [*self.objects], elf
        )
        kept = list(kept_sections(elf.with_suffix(".map").read_text(encoding="utf-8")))
        return kept, Elf(elf).memory_use(self.project.board).flash_bytes


def _gcc() -> Compiler:
    return cross_tool("gcc")


def _is_shared(kept: Kept) -> bool:
    """Whether the section is of a kernel or a library."""
    return bool(kept.archive) or kept.origin.startswith("obj/kernels/")


def _place_of(kept: Kept) -> SectionPlace:
    if not kept.is_code:
        return SectionPlace.CONSTANT
    return SectionPlace.LIBRARY if kept.archive else SectionPlace.KERNEL


def _sections(image: LinkedImage) -> tuple[Section, ...]:
    """All that any function brings along, in the linker's order."""
    kept = [k for k in image.linked(*kernel_functions())[0] if _is_shared(k)]
    files = {image.root / k.origin if not k.archive else Path(k.archive) for k in kept}
    aligned = alignments(sorted(files))
    return tuple(
        Section(k.name, k.size_bytes, aligned[k.file, k.section], _place_of(k)) for k in kept
    )


def _core(image: LinkedImage) -> CoreCode:
    """What every function brings along, beyond what the image has without it (a vit_gelu)."""
    sections = _sections(image)
    numbers = {section.name: number for number, section in enumerate(sections)}
    without = {k.name for k in image.linked()[0]}
    functions = {}
    for function in kernel_functions():
        kept = [
            k.name
            for k in image.linked(function)[0]
            if k.name in numbers and (k.name not in without or k.section == f".text.{function}")
        ]
        functions[function] = tuple(numbers[name] for name in kept)
    return CoreCode(sections, functions)


def _structs(image: LinkedImage) -> dict[str, int]:
    """Bytes of each type of parameters."""
    lines = ['#include "vit_builtins.h"', '#include "vit_kernels.h"', ""]
    lines += [f"const char size_{t}[sizeof({t})] = {{0}};" for t in parameter_structs()]
    source = image.root / _SIZES
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    target = image.root / "sizes.o"
    flags_ = [*image.project.board.core.compiler_flags(), "-std=c11", f"-I{image.root / 'kernels'}"]
    run_tool([_gcc().path, *flags_, "-c", str(source), "-o", str(target)], "measuring structs")
    return {name.removeprefix("size_"): size for name, size in object_sizes(target).items()}


def _archs() -> Iterator[ArchConfig]:
    """Networks whose calls are measured: few and many operators, small and large arenas."""
    for depth, width, side in ((1, 8, 8), (3, 24, 16), (6, 64, 24), (12, 96, 32)):
        yield ArchConfig.uniform(
            image_size=side, channels=3, num_classes=10, patch_size=4, embed_dim=width, depth=depth,
            heads=2, mlp_ratio=2.0, head_dim=width // 2,
        )  # fmt: skip


def _model_code(board: Board, form: FirmwareForm) -> ModelCode:
    """Of the generated code of networks, a line through their sizes."""
    operators, sizes = [], []
    for arch in _archs():
        graph, ops = weightless_graph(arch)
        if form is FirmwareForm.TENSORS:
            graph, ops = behind_the_image(graph, ops)
        planned = plan_model(fused_file(graph, ops), streamed=form is FirmwareForm.STREAMED)
        with LinkedImage.of(board, planned.model_bytes) as image:
            sizes.append(text_bytes(image.root / _MODEL_OBJECT))
        operators.append(len(ops))
    slope, first = np.polyfit(operators, sizes, 1)
    return ModelCode(round(float(first), 1), round(float(slope), 2))


def _form(board: Board, core: CoreCode, structs: dict[str, int], form: FirmwareForm) -> ImageForm:
    """What an image has beside its operator's functions, parameters and calls."""
    first = (patch_embed.weightless((SIDE, 1), 4, 2, 8),) if form is FirmwareForm.STREAMED else ()
    ops: tuple[Params, ...] = (*first, gelu.weightless())
    used, (model, constants) = [fused_call(op) for op in ops], _file_of(*ops, form=form)
    known = CodeTable(structs, {}, ())
    brought = core.sections_of(code_size.call_functions(used, form.taken.streamed))
    numbers = {section.name: number for number, section in enumerate(core.sections)}
    with LinkedImage.of(board, model) as image:
        kept, flash = image.linked()
        calls = text_bytes(image.root / _MODEL_OBJECT)
    own = (k for k in kept if k.name not in numbers and not k.origin.startswith("obj/model/"))
    code = sum(code_size.align(k.size_bytes, code_size.WORD) for k in own if k.is_code)
    shared = {numbers[k.name] for k in kept if k.name in numbers} - brought
    base = Base(code, tuple(sorted(shared)), 0)
    parameters = sum(known.parameter_bytes(number, call) for number, call in enumerate(used))
    parameters += form.taken.table_bytes
    placed = code_size.place(core, base, brought, calls, parameters)
    base = dataclasses.replace(base, end_bytes=flash - constants - placed)
    return ImageForm(base, _model_code(board, form))


def _image(board: Board, name: str, core: CoreCode, structs: dict[str, int]) -> code_size.ImageKind:
    forms = (_form(board, core, structs, form) for form in FirmwareForm)
    return code_size.ImageKind(board.core.name, name, board.drivers, *forms)


def make_table() -> CodeTable:
    """All cores, and all boards with a file."""
    model, _ = _file_of(gelu.weightless(), form=FirmwareForm.RESIDENT)
    cores, images, structs = {}, [], {}
    for cpu in tqdm(CPUS, unit="core", disable=None):
        board = generic_board(cpu)
        with LinkedImage.of(board, model) as image:
            structs = _structs(image)
            core = _core(image)
        cores[cpu.name] = core
        images.append(_image(board, "", core, structs))
        for name in board_names():
            if get_board(name).core.name == cpu.name:
                images.append(_image(get_board(name), name, core, structs))
    return CodeTable(structs, cores, tuple(images))


def _body() -> None:
    expect_writable(_OUT.value)
    made = make_table()
    write_json(
        _OUT.value,
        {
            "command": typed_command("firmware.code_table"),
            "gcc": cross_tool("gcc").says.splitlines()[0],
            **made.to_json(),
        },
    )
    print(f"wrote {_OUT.value}")


def main() -> None:
    """Entry point."""
    run(FLAGS, _body)


if __name__ == "__main__":
    main()
