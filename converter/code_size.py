# SPDX-License-Identifier: Apache-2.0
"""Flash that a firmware takes beside a network's constants: code, parameters, tables.

The linker keeps what is called. `code_table.json`, made by ``python -m firmware.code_table`` from
linked images, says for each core which sections a kernel function brings along, how large they are,
and what an image of a board has besides; here they are placed one after another as the linker
script places them (firmware/templates/linker.ld.in). tests/firmware/test_footprint.py and
``python -m benchmarks.flash_error`` compare with the linker.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from boards import Board

TABLE = Path(__file__).with_name("code_table.json")
WORD = 4
CONSTANTS_ALIGNMENT = 16  # of the weights
POINTER_BYTES = 4
TENSOR_BYTES = 52  # of VitModelTensor, beside its name
VECTOR_BYTES = 64  # at the start of flash (firmware/src/cortexm/vectors.c)
PATCH_EMBED = "vit_patch_embed"
STREAMED_PATCH_EMBED = ("vit_patch_embed_begin", "vit_patch_embed_strip")


class SectionPlace(enum.Enum):
    """Where the linker script puts a section: kernels first, libraries behind all other code."""

    KERNEL = "kernel"
    LIBRARY = "library"
    CONSTANT = "constant"


@dataclasses.dataclass(frozen=True)
class Section:
    """An input section of the linker."""

    name: str
    size_bytes: int
    alignment: int
    place: SectionPlace


@dataclasses.dataclass(frozen=True)
class Base:
    """An image's own part.

    Attributes:
      code_bytes: of application, start-up and drivers.
      sections: those of the table that they need too.
      end_bytes: their constants and initial values.
    """

    code_bytes: int
    sections: tuple[int, ...]
    end_bytes: int


@dataclasses.dataclass(frozen=True)
class ModelCode:
    """Bytes of the generated calls: of a model, and of each of them."""

    model_bytes: float
    operator_bytes: float

    def bytes(self, statements: int) -> int:
        """Of a model of so many calls, nearly always one an operator."""
        return round(self.model_bytes + self.operator_bytes * statements)


@dataclasses.dataclass(frozen=True)
class ImageForm:
    """What differs between firmwares by what they take."""

    base: Base
    model: ModelCode


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a firmware takes.

    Attributes:
      streamed: an image, row by row.
      names: of the model's inputs and outputs, of which it has tables; () where it takes an image.
    """

    streamed: bool = False
    names: tuple[str, ...] = ()

    @property
    def table_bytes(self) -> int:
        """Of the tables."""
        return sum(TENSOR_BYTES + text_bytes(name) for name in self.names)


@dataclasses.dataclass(frozen=True)
class ImageKind:
    """A kind of image: a board, or all others of a core.

    Attributes:
      board: "" for boards that the table does not know.
      drivers: names of what is linked for the part.
    """

    core: str
    board: str
    drivers: tuple[str, ...]
    resident: ImageForm
    streamed: ImageForm
    tensors: ImageForm

    def form(self, taken: Taken) -> ImageForm:
        """Of the three."""
        if taken.names:
            return self.tensors
        return self.streamed if taken.streamed else self.resident


@dataclasses.dataclass(frozen=True, eq=False)
class CoreCode:
    """The kernels on a core.

    Attributes:
      sections: in the order of the linker.
      functions: numbers of the sections that a function brings along.
    """

    sections: tuple[Section, ...]
    functions: dict[str, tuple[int, ...]]

    def sections_of(self, functions: Iterable[str]) -> set[int]:
        """Numbers of the sections that some functions bring along."""
        return {number for function in functions for number in self.functions[function]}


@dataclasses.dataclass(frozen=True)
class ModelCall:
    """What the generated model has of an operator.

    Attributes:
      name: of the operator, as the firmware shows it behind its number.
      functions: that it calls.
      struct: C type of its parameters; "" for none.
      structs: how many of them.
      statements: calls in the generated code.
    """

    name: str
    functions: tuple[str, ...]
    struct: str
    structs: int = 1
    statements: int = 1


@dataclasses.dataclass(frozen=True, eq=False)
class CodeTable:
    """The content of `code_table.json`."""

    structs: dict[str, int]
    cores: dict[str, CoreCode]
    images: tuple[ImageKind, ...]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CodeTable:
        """Of the file's content."""
        cores = {
            name: CoreCode(
                tuple(
                    Section(n, size, align, SectionPlace(p))
                    for n, size, align, p in core["sections"]
                ),
                {function: tuple(used) for function, used in core["functions"].items()},
            )
            for name, core in data["cores"].items()
        }
        images = tuple(
            ImageKind(i["core"], i["board"], tuple(i["drivers"]), *(_form(i[f]) for f in _FORMS))
            for i in data["images"]
        )
        return cls(dict(data["structs"]), cores, images)

    def to_json(self) -> dict[str, Any]:
        """The file's content; `from_json` reads it."""
        return {
            "structs": self.structs,
            "cores": {
                name: {
                    "sections": [
                        [s.name, s.size_bytes, s.alignment, s.place.value] for s in core.sections
                    ],
                    "functions": {f: list(used) for f, used in core.functions.items()},
                }
                for name, core in self.cores.items()
            },
            "images": [dataclasses.asdict(image) for image in self.images],
        }

    def parameter_bytes(self, number: int, call: ModelCall) -> int:
        """Parameters and name of operator ``number``."""
        structs = call.structs * self.structs[call.struct] if call.struct else 0
        return structs + text_bytes(f"{number} {call.name}") + POINTER_BYTES

    def image_of(self, board: Board) -> ImageKind:
        """The board's own, that of one with its core and drivers, or the largest of the core.

        Raises:
          ValueError: nothing was measured on the core.
        """
        core = [i for i in self.images if i.core == board.core.name]
        if not core:
            known = ", ".join(sorted({i.core for i in self.images}))
            raise ValueError(
                f"board {board.name}: flash and time are not known on {board.core.name}, expected "
                f"one of {known}; build the firmware and run it (firmware.emulate), which counts"
            )
        for image in core:
            if image.board == board.name:
                return image
        alike = [i for i in core if i.drivers == board.drivers]
        return max(alike or core, key=lambda i: i.resident.base.code_bytes)


_FORMS = ("resident", "streamed", "tensors")


def _form(data: dict[str, Any]) -> ImageForm:
    base = data["base"]
    return ImageForm(
        Base(**{**base, "sections": tuple(base["sections"])}), ModelCode(**data["model"])
    )


@functools.cache
def table() -> CodeTable:
    """The checked-in table."""
    return CodeTable.from_json(json.loads(TABLE.read_text(encoding="utf-8")))


def align(size: int, alignment: int) -> int:
    """Rounded up."""
    return -(-size // alignment) * alignment


def text_bytes(text: str) -> int:
    """A string in flash, its end included."""
    return align(len(text.encode()) + 1, WORD)


def place(
    core: CoreCode, base: Base, used: Iterable[int], model_bytes: int, constant_bytes: int
) -> int:
    """The bytes of flash from its start, constants of the network left out.

    Args:
      used: sections beside those of the base.
      model_bytes: of the generated calls.
      constant_bytes: of parameters and names.
    """
    numbers = sorted({*base.sections, *used})
    found = [core.sections[number] for number in numbers]
    end = _stack(VECTOR_BYTES, found, SectionPlace.KERNEL)
    end = align(align(end, WORD) + model_bytes, WORD) + base.code_bytes
    end = align(_stack(end, found, SectionPlace.LIBRARY), CONSTANTS_ALIGNMENT)
    end += constant_bytes + sum(s.size_bytes for s in found if s.place is SectionPlace.CONSTANT)
    return align(end, WORD) + base.end_bytes


def _stack(end: int, sections: Sequence[Section], where: SectionPlace) -> int:
    for section in sections:
        if section.place is where:
            end = align(end, section.alignment) + section.size_bytes
    return end


def code_bytes(board: Board, calls: Sequence[ModelCall], taken: Taken) -> int:
    """Flash beside the constants of a model's operators, in order."""
    return _code_bytes(table().image_of(board), tuple(calls), taken)


@functools.lru_cache(4096)
def _code_bytes(image: ImageKind, calls: tuple[ModelCall, ...], taken: Taken) -> int:
    known, form = table(), image.form(taken)
    core = known.cores[image.core]
    used = core.sections_of(call_functions(calls, taken.streamed))
    constants = sum(known.parameter_bytes(number, call) for number, call in enumerate(calls))
    model = form.model.bytes(sum(call.statements for call in calls))
    return place(core, form.base, used, model, constants + taken.table_bytes)


def call_functions(calls: Iterable[ModelCall], streamed: bool) -> set[str]:
    """What is called; a streamed image goes to the patch embedding strip by strip."""
    functions = {function for call in calls for function in call.functions}
    if streamed and PATCH_EMBED in functions:
        return (functions - {PATCH_EMBED}).union(STREAMED_PATCH_EMBED)
    return functions
