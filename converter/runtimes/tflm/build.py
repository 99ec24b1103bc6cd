# SPDX-License-Identifier: Apache-2.0
"""Builds the operators into a shared library for the PyPI wheel, with the host's compiler.

The library lives in the cache (toolchain/) under a key made from every source byte, the compiler
and its options, so that an edited kernel is never mistaken for the built one.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

from converter.runtimes.tflm.errors import TflmBuildError
from tflm_custom_ops.sources import KERNELS, kernel_files
from toolchain import cached, digest, host_c, host_cxx, raised_as, run_tool

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
PACKAGE = REPOSITORY / "tflm_custom_ops" / "tflm"  # sources say #include "tflm_custom_ops/..."
KIND = "tflm"  # in the cache
_KEY_LENGTH = 16  # hexadecimal digits; the key is a name in the C++ code too

_COMMON_FLAGS = (
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-DTF_LITE_STATIC_MEMORY",
)
_C_FLAGS = ("-std=c11",)
_CXX_FLAGS = ("-std=c++17", "-fno-exceptions", "-fno-rtti")
# Sources of this folder that are for a device or for the C++ tests.
_NOT_FOR_THE_WHEEL = ("planned_memory_planner.cc", "test_console.cc")


@dataclasses.dataclass(frozen=True)
class Toolchain:
    """The host compilers, as commands found on PATH or named by CC and CXX."""

    cc: str
    cxx: str
    version: str


def find_toolchain() -> Toolchain:
    """The host's C and C++ compiler.

    Raises:
      TflmBuildError: there is none; the message says what to install.
    """
    with raised_as(lambda error: TflmBuildError(str(error))):
        cc, cxx = host_c(), host_cxx()
    return Toolchain(cc.path, cxx.path, cc.version + cxx.version)


def sources() -> list[pathlib.Path]:
    """The translation units of the library, sorted."""
    operators = [
        path
        for path in PACKAGE.glob("*.cc")
        if path.name not in _NOT_FOR_THE_WHEEL and not path.name.endswith("_test.cc")
    ]
    return sorted(operators) + kernel_files(".c")


def _build_key(toolchain: Toolchain, flags: Sequence[str]) -> str:
    headers = [*PACKAGE.rglob("*.h"), *kernel_files(".h")]
    contents: list[bytes | str] = []
    for path in sorted([*sources(), *headers]):
        contents += [path.relative_to(REPOSITORY).as_posix(), path.read_bytes()]
    options = " ".join([*_COMMON_FLAGS, *_C_FLAGS, *_CXX_FLAGS, *flags])
    return digest(toolchain.version, options, *contents)[:_KEY_LENGTH]


def build_library(extra_flags: Sequence[str] = ()) -> pathlib.Path:
    """Builds the operator library unless it is in the cache already.

    Safe against other processes that build the same: each compiles in a folder of its own and
    renames the finished file into place.

    Args:
      extra_flags: more compiler options, part of the key (the tests plant faults with them).

    Returns:
      Path of the shared library.

    Raises:
      TflmBuildError: no compiler, an unwritable cache, or a compiler error with its text.
    """
    toolchain = find_toolchain()
    key = _build_key(toolchain, extra_flags)
    with raised_as(lambda error: TflmBuildError(str(error))):
        compile_into = functools.partial(_compile, toolchain, key, extra_flags)
        return cached(KIND, "libvit_tflm", ".so", key, compile_into)


def _compile(
    toolchain: Toolchain, key: str, extra_flags: Sequence[str], work: pathlib.Path
) -> pathlib.Path:
    includes = [
        f"-I{REPOSITORY}",
        f"-I{PACKAGE / 'abi'}",
        f"-I{KERNELS}",
        f"-ffile-prefix-map={REPOSITORY}=.",
    ]
    common = [*_COMMON_FLAGS, *includes, f"-DVIT_TFLM_BUILD_KEY={key}", *extra_flags]
    objects = []
    for source in sources():
        target = work / f"{source.name}.o"
        is_c = source.suffix == ".c"
        compiler, dialect = (toolchain.cc, _C_FLAGS) if is_c else (toolchain.cxx, _CXX_FLAGS)
        run_tool([compiler, *dialect, *common, "-c", str(source), "-o", str(target)], source.name)
        objects.append(str(target))
    library = work / "library.so"
    link = [toolchain.cxx, "-shared", "-Wl,-z,defs", *objects, *extra_flags, "-o", str(library)]
    run_tool(link, "link")
    return library
