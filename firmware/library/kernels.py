# SPDX-License-Identifier: Apache-2.0
"""The kernels of a library: all, for every core, under a prefix that names their version."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import PurePosixPath

from converter.compile import kernel_headers, kernel_sources
from firmware.library.symbols import renamed
from firmware.project import Group, ProjectFile, kernel_project_files
from toolchain import digest

_PREFIX = "vit_"
_DIGITS = 8
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
    """

    version: str
    files: tuple[ProjectFile, ...]

    def symbol(self, name: str) -> str:
        """What an identifier of the kernels' sources is called."""
        return _symbol(self.version, name)


def _symbol(version: str, name: str) -> str:
    return f"{_PREFIX}{version}_{name[len(_PREFIX) :]}" if name.startswith(_PREFIX) else name


def _renamed(version: str, path: PurePosixPath, source: str) -> str:
    text = renamed(source, lambda name: _symbol(version, name))
    return text + _NO_EXECUTABLE_STACK if path.suffix == ".S" else text


@functools.cache
def kernels() -> Kernels:
    """All kernels: portable C, and the assembly that cores without its instructions leave out."""
    sources = sorted(kernel_sources(_DSP_CORE), key=lambda path: path.name)
    found = kernel_project_files([*sources, *kernel_headers()])
    # As text: a checkout with other line ends has the same version.
    contents = [(f.path, f.origin.read_text(encoding="utf-8")) for f in found if f.origin]
    version = digest(*(part for path, text in contents for part in (str(path), text)))[:_DIGITS]
    files = (
        ProjectFile(path, Group.KERNEL, text=_renamed(version, path, text))
        for path, text in contents
    )
    return Kernels(version, tuple(files))
