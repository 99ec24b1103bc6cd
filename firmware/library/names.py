# SPDX-License-Identifier: Apache-2.0
"""Names that a library may have: a prefix in C, a header's name, and a target of build systems."""

from __future__ import annotations

import re

from firmware.errors import FirmwareError
from firmware.project import check_project_name

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
# A header of such a name would be found in the place of the compiler's own.
_HEADERS = frozenset((
    "assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "iso646", "limits",
    "locale", "malloc", "math", "memory", "new", "sched", "setjmp", "signal", "stdalign",
    "stdarg", "stdatomic", "stdbool", "stddef", "stdint", "stdio", "stdlib", "stdnoreturn",
    "string", "strings", "tgmath", "threads", "time", "uchar", "unistd", "wchar", "wctype",
    "arduino", "kernels", "main",
))  # fmt: skip


def check_library_name(name: str) -> None:
    """Refuses a name that C, a build system or an include path would take for something else.

    Raises:
      FirmwareError: not a letter and up to 31 letters, digits and '_'; a target of a build
        system's; a header of the compiler's; or the prefix of kernels.
    """
    if not _NAME.fullmatch(name) or name.endswith("_"):
        shown = name if len(name) <= 64 else name[:61] + "..."
        raise FirmwareError(
            f"library name {shown!r}: expected a letter, then up to 31 letters, digits and '_': it "
            "begins the names of functions"
        )
    check_project_name(name)
    if name.lower() in _HEADERS or name.lower().startswith("vit_kernels"):
        raise FirmwareError(f"library name {name!r}: a header has this name, expected another")
    if re.fullmatch(r"vit_[0-9a-f]{8}\w*", name):
        raise FirmwareError(f"library name {name!r}: kernels have such names, expected another")
