# SPDX-License-Identifier: Apache-2.0
"""What the functions of the Python interface return."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Planned:
    """A file with a memory plan.

    Attributes:
      model_bytes: the file.
      arena_bytes: of the plan.
      lower_bound_bytes: no plan of these buffers is smaller.
      streamed: the application pushes image rows.
    """

    model_bytes: bytes
    arena_bytes: int
    lower_bound_bytes: int
    streamed: bool

    @property
    def optimal(self) -> bool:
        """Whether the plan is proven to be the smallest one."""
        return self.arena_bytes == self.lower_bound_bytes


@dataclasses.dataclass(frozen=True)
class Fused(Planned):
    """A fused and planned file.

    Attributes:
      operators_before, operators: of the plain and of the fused graph.
      fused: what each custom operator stands for, e.g. "block 3 attention".
      not_fused: parts that could have been fused but stayed, with the reason.
      layers_of_4_bits: names of the layers whose weights were rounded.
      weights_sqnr_db: of the float network's outputs after that against those before; None: none.
    """

    operators_before: int
    operators: int
    fused: tuple[str, ...]
    not_fused: tuple[str, ...]
    layers_of_4_bits: tuple[str, ...] = ()
    weights_sqnr_db: float | None = None


@dataclasses.dataclass(frozen=True)
class OperatorUse:
    """One operator of a file: live bytes while it runs, scratch among them, and multiplications."""

    name: str
    live_bytes: int
    scratch_bytes: int
    macs: int


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What a file needs.

    Attributes:
      arena_bytes, lower_bound_bytes, streamed: of its plan, or of the one that it would get.
      planned_here: the file has no plan.
      stack_bytes, static_bytes: what this toolkit's firmware takes beside the arena.
      sram_bytes: everything: arena, stack and static data.
      constant_bytes: flash for weights, biases and tables as kernels read them, and class names.
      file_bytes: size of the file.
      peak: index of the operator with most live bytes.
      over_budget: why the board does not hold it; "" where it does, or where no board is named.
    """

    arena_bytes: int
    lower_bound_bytes: int
    streamed: bool
    planned_here: bool
    stack_bytes: int
    static_bytes: int
    sram_bytes: int
    constant_bytes: int
    file_bytes: int
    operators: tuple[OperatorUse, ...]
    peak: int
    over_budget: str


@dataclasses.dataclass(frozen=True)
class File:
    """A generated file."""

    name: str
    content: bytes


@dataclasses.dataclass(frozen=True)
class Compiled:
    """C of a model.

    Attributes:
      files: `vit_model.h`, `vit_model.c`, the weights; docs/compiled_runtime.md.
      arena_bytes: that the application provides.
      input_bytes, output_bytes: all inputs, all outputs together.
      weights_bytes: constants.
    """

    files: tuple[File, ...]
    arena_bytes: int
    input_bytes: int
    output_bytes: int
    weights_bytes: int

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Writes each file into a folder, which is made if it is missing."""
        from tflm_vit.files import write_atomic

        for file in self.files:
            write_atomic(Path(folder) / file.name, file.content)


@dataclasses.dataclass(frozen=True)
class Exported:
    """A firmware project.

    Attributes:
      folder: where it is.
      board, format: what it is for.
      flash_bytes, external_flash_bytes: of its image; None without `check`.
      sram_bytes: of its image, with the whole stack that is reserved; None without `check`.
    """

    folder: Path
    board: str
    format: str
    flash_bytes: int | None
    external_flash_bytes: int | None
    sram_bytes: int | None
