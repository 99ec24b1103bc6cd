# SPDX-License-Identifier: Apache-2.0
"""A program that runs one inference of a library, for systems that start programs differently."""

from __future__ import annotations

import dataclasses

from firmware.formats.library_common import use
from firmware.library import Library


@dataclasses.dataclass(frozen=True)
class Sample:
    """The parts of a program.

    Attributes:
      declarations: includes, memory, and a function that runs an inference.
      call: statements that set `status` and, of an image, `best`.
      result: expression of the class, to print beside the status; None of other models.
    """

    declarations: str
    call: str
    result: str | None


def sample_of(library: Library) -> Sample:
    """The parts for a library; an image is grey, inputs are 0, until somebody fills them."""
    name, upper = library.name, library.facts.upper
    memory = (
        f'#include "{name}.h"\n\n'
        f"static {name}_state state;\n"
        f"static {upper}_ALIGNED uint8_t arena[{upper}_ARENA_BYTES];\n"
    )
    function = f"static {use(library)}\n"
    if library.facts.interface.image is None:
        return Sample(f"{memory}\n{function}", f"  const {name}_status status = infer();\n", None)
    image = f"static int8_t image[{upper}_INPUT_BYTES];  // yours\n"
    call = f"  size_t best = 0;\n  const {name}_status status = classify(image, &best);\n"
    return Sample(f"{memory}{image}\n{function}", call, "best")
