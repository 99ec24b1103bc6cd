# SPDX-License-Identifier: Apache-2.0
"""The project's operators as a library that the wheel loads."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import pathlib

from converter.runtimes.tflm import abi, build
from converter.runtimes.tflm.abi_check import library_for_wheel
from converter.runtimes.tflm.errors import TflmAbiError


@dataclasses.dataclass(frozen=True)
class OperatorLibrary:
    """A loaded library and the name under which the wheel finds its registerer."""

    path: pathlib.Path
    registerer: str


def open_library(path: pathlib.Path) -> OperatorLibrary:
    """Loads an operator library into the process and checks its ABI version.

    Raises:
      TflmAbiError: not loadable, not ours, or of another ABI version.
    """
    try:
        library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise TflmAbiError(
            f"{path}: cannot be loaded: {error}; delete it, it is rebuilt"
        ) from error
    version = getattr(library, "vit_tflm_abi_version", None)
    abi.check_library_version(None if version is None else int(version()), str(path))
    name = library.vit_tflm_registerer_name
    name.restype = ctypes.c_char_p
    return OperatorLibrary(path, name().decode())


@functools.cache
def operator_library() -> OperatorLibrary:
    """The project's operators: built if need be, loaded, and probed against the wheel.

    Raises:
      TflmBuildError: cannot be built. TflmAbiError: no wheel, or of another layout than all known.
    """
    abi.check_wheel()
    return open_library(library_for_wheel(lambda layout: build.build_library([layout.flag])))
