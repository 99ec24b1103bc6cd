# SPDX-License-Identifier: Apache-2.0
"""What the README of a library says, whatever builds it."""

from __future__ import annotations

from collections.abc import Mapping

from firmware.library import Library
from firmware.library.facts import Facts
from firmware.library.header import C_TYPES, suffix
from firmware.library.library import WARNINGS

_FOLDERS = {"include/": "include/", "src/": "src/", "kernels/": "kernels/"}
_IMAGE = """\
Rows are int8 values of the network; `{name}_quantize()` makes one from a real value{pixels}.
Every call returns a status; none waits, allocates or keeps anything outside `state` and `arena`."""
_CAMERA = """\
`{name}_camera.h` takes the rows of a camera's frame instead (RGB565, YUV422 or grey) and scales any
part of it to the image."""
_TENSORS = """\
Every call returns a status; none waits, allocates or keeps anything outside `state` and `arena`.
The header has count, type, scale and zero point of each input and output."""


def sizes(library: Library) -> list[tuple[str, str]]:
    """(what, bytes) of a library."""
    facts = library.facts
    rows = [("arena, of the caller", facts.engine.arena_text(facts))]
    if facts.stack is not None:
        where = f"{facts.stack.core}, {facts.stack.compiler}, {facts.stack.options}"
        rows.append((f"stack ({where})", str(facts.stack.size_bytes)))
    if facts.camera_stack is not None:
        rows.append(("stack of the camera's calls", str(facts.camera_stack.size_bytes)))
    rows.append(("constants", str(facts.weights_bytes)))
    if library.code_bytes is not None:
        rows.append(("code, kernels included", str(library.code_bytes)))
    rows += facts.engine.measured()
    return rows


def _title(facts: Facts) -> str:
    return facts.engine.title[0].upper() + facts.engine.title[1:]


def describe(library: Library) -> str:
    """One sentence, of letters, digits, spaces, commas and a full stop."""
    facts = library.facts
    image = facts.interface.image
    title = _title(facts)
    if image is None:
        return f"{title} with {len(facts.interface.inputs)} inputs."
    size = f"{image.width} x {image.height} x {image.channels}"
    return f"{title} for images of {size} and {image.classes} classes."


def use(library: Library) -> str:
    """A function in C that runs an inference; it wants `state` and `arena`."""
    facts = library.facts
    if facts.interface.image is not None:
        return facts.render("use_image.c").rstrip()
    lines = []
    for index, tensor in enumerate(facts.interface.inputs):
        of = suffix(facts.interface.inputs, index)
        lines.append(f"  {C_TYPES[tensor.dtype]}* input{of} = NULL;")
        call = f"{facts.name}_input{of}(&state, &input{of})"
        lines.append(f"  if (status == {facts.upper}_OK) status = {call};")
        count = f"{facts.upper}_INPUT{of}_COUNT"
        lines.append(
            f"  for (size_t i = 0; status == {facts.upper}_OK && i < {count}; ++i) "
            f"input{of}[i] = 0;  // yours"
        )
    return facts.render(
        "use_tensors.c",
        FILL="\n".join(lines),
        TYPE=C_TYPES[facts.interface.outputs[0].dtype],
        SUFFIX=suffix(facts.interface.outputs, 0),
    ).rstrip()


def _text(library: Library) -> str:
    facts = library.facts
    if facts.interface.image is None:
        return _TENSORS
    pixels = f", `{facts.name}_pixels()` a row from bytes" if facts.said.pixels is not None else ""
    text = _IMAGE.format(name=facts.name, pixels=pixels)
    return f"{text}\n\n{_CAMERA.format(name=facts.name)}" if facts.has_camera else text


def readme(library: Library, build: str, folders: Mapping[str, str] = _FOLDERS) -> str:
    """README.md.

    Args:
      library: the library.
      build: how this format is built.
      folders: where this format has the library's folders.
    """
    return library.facts.render(
        "README.md",
        TITLE=_title(library.facts),
        NEEDS=library.facts.engine.needs,
        SOURCES=library.facts.engine.sources,
        FOLDERS=library.facts.engine.folders,
        BUILD=build,
        INCLUDE=folders["include/"],
        SRC=folders["src/"],
        KERNEL_FOLDER=folders["kernels/"],
        KERNEL_PREFIX=f"vit_{library.facts.kernels}_",
        USE=use(library),
        TEXT=_text(library),
        SIZES="\n".join(f"| {what} | {size} |" for what, size in sizes(library)),
        WARNINGS=" ".join(WARNINGS),
    )
