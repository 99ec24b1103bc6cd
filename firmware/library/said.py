# SPDX-License-Identifier: Apache-2.0
"""What a file says of a model's inputs and outputs, as far as a library's header repeats it."""

from __future__ import annotations

import dataclasses

from converter.compile.compiler import statement_of
from converter.compile.interface import Interface
from converter.tflite import parse
from firmware.library.pixels import Pixels, pixels_of

_LONGEST_NAME = 100  # of an input or output


@dataclasses.dataclass(frozen=True)
class Said:
    """What a file says.

    Attributes:
      class_names: of the outputs of an image classifier; () where it does not say them.
      pixels: how bytes become an image; None where nobody says.
      inputs, outputs: their names, in the file's order.
      left_out: what the file says and the header has no place for; for people.
    """

    class_names: tuple[str, ...]
    pixels: Pixels | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def said_by(content: bytes, interface: Interface) -> Said:
    """What a fused file says.

    Raises:
      CompileError: damaged metadata.
    """
    stated, model = statement_of(content), parse(content)
    image, names = interface.image, stated.class_names
    graph = model.graph
    inputs, outputs = (
        tuple(model.name_of(i)[:_LONGEST_NAME] for i in ends)
        for ends in (graph.inputs, graph.outputs)
    )
    if image is None:
        stands = (("class names", bool(names)), ("scaling of pixels", bool(stated.normalization)))
        left_out = tuple(what for what, is_there in stands if is_there)
        return Said((), None, inputs, outputs, left_out)
    fitting = names if len(names) == image.classes else ()
    return Said(fitting, pixels_of(model, image), inputs, outputs)
