# SPDX-License-Identifier: Apache-2.0
"""The sources that libraries share: kernels for every core, and the operators and set-up of TFLM.

All their names begin with a prefix that names their version, one digest of all of them.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import PurePosixPath

from converter.compile import kernel_headers, kernel_sources
from firmware.library.symbols import renamed
from firmware.project import Group, ProjectFile, kernel_project_files
from firmware.tflm.sources import interpreter_files, operator_files, parser_source
from toolchain import digest

_PREFIX = "vit_"
_NAMESPACE = "tflm_vit"
_DIGITS = 8
_TFLM = PurePosixPath("tflm")
_DSP_CORE = "cortex-m7"  # one whose kernels are all that there are; others leave files empty
# A file of assembly says so itself, where a linker asks.
_NO_EXECUTABLE_STACK = """
#if defined(__ELF__) && defined(__linux__)
  .section .note.GNU-stack, "", %progbits
#endif
"""


@dataclasses.dataclass(frozen=True)
class Kernels:
    """The kernels' files, renamed.

    Attributes:
      version: eight hexadecimal digits of a digest of all their sources.
      files: in the folder `kernels`.
      tflm: what a model in TFLM's interpreter needs beside them, in the folder `tflm`.
    """

    version: str
    files: tuple[ProjectFile, ...]
    tflm: tuple[ProjectFile, ...]

    def symbol(self, name: str) -> str:
        """What an identifier of the kernels' sources is called."""
        return _symbol(self.version, name)

    def renamed(self, text: str) -> str:
        """C or C++ that calls them by the names of their sources."""
        return renamed(text, self.symbol)


def _symbol(version: str, name: str) -> str:
    if name == _NAMESPACE:
        return f"{_NAMESPACE}_{version}"
    return f"{_PREFIX}{version}_{name[len(_PREFIX) :]}" if name.startswith(_PREFIX) else name


def _renamed(version: str, path: PurePosixPath, source: str) -> str:
    text = renamed(source, lambda name: _symbol(version, name))
    return text + _NO_EXECUTABLE_STACK if path.suffix == ".S" else text


def _flat(text: str) -> str:
    """C++ whose headers are in its own folder, or the kernels'."""
    text = re.sub(r'#include "tflm_custom_ops/kernels/', '#include "../kernels/', text)
    return re.sub(r'#include "(?:tflm_custom_ops/)?tflm/', '#include "', text)


def _tflm_sources() -> list[tuple[PurePosixPath, str]]:
    """(path, text) of our C++, and of the parser of options, which only it calls."""
    headers = [p for p in operator_files() if "kernels" not in p[0].parts]
    origins = [origin for _, origin in headers] + list(interpreter_files())
    texts = [(_TFLM / p.name, _flat(p.read_text(encoding="utf-8"))) for p in origins]
    parser = parser_source()
    source = parser.read_text(encoding="utf-8")
    parsed = re.sub(r'#include "(vit_\w+\.h)"', r'#include "../kernels/\1"', source)
    return sorted([*texts, (_TFLM / parser.name, parsed)])


@functools.cache
def kernels() -> Kernels:
    """All kernels: portable C, and the assembly that cores without its instructions leave out."""
    sources = sorted(kernel_sources(_DSP_CORE), key=lambda path: path.name)
    found = kernel_project_files([*sources, *kernel_headers()])
    # As text: a checkout with other line ends has the same version.
    contents = [(f.path, f.origin.read_text(encoding="utf-8")) for f in found if f.origin]
    interpreted = _tflm_sources()
    every = (*contents, *interpreted)
    version = digest(*(part for path, text in every for part in (str(path), text)))[:_DIGITS]

    def files(group: Group, texts: list[tuple[PurePosixPath, str]]) -> tuple[ProjectFile, ...]:
        return tuple(
            ProjectFile(path, group, text=_renamed(version, path, text)) for path, text in texts
        )

    return Kernels(version, files(Group.KERNEL, contents), files(Group.TFLM, interpreted))
