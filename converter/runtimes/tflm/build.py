# SPDX-License-Identifier: Apache-2.0
"""Builds the operators into a shared library for the PyPI wheel, with the host's compiler.

The library lives in a cache folder under a key made from every source byte, the compiler and its
options, so that an edited kernel is never mistaken for the built one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence

from converter.runtimes.tflm.errors import TflmBuildError

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
PACKAGE = REPOSITORY / "tflm_custom_ops" / "tflm"  # sources say #include "tflm_custom_ops/..."
KERNELS = PACKAGE.parent / "kernels"
CACHE_VARIABLE = "VIT_TFLM_CACHE"

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
_COMPILE_SECONDS = 600
# Sources of this folder that are for a device or for the C++ tests.
_NOT_FOR_THE_WHEEL = ("planned_memory_planner.cc", "test_console.cc")


@dataclasses.dataclass(frozen=True)
class Toolchain:
    """The host compilers, as commands found on PATH or named by CC and CXX."""

    cc: str
    cxx: str


def find_toolchain() -> Toolchain:
    """The host's C and C++ compiler.

    Raises:
      TflmBuildError: there is none; the message says what to install.
    """
    cc = _first_command("CC", ("cc", "gcc", "clang"))
    cxx = _first_command("CXX", ("c++", "g++", "clang++"))
    if cc is None or cxx is None:
        missing = "C" if cc is None else "C++"
        variable = "CC" if cc is None else "CXX"
        raise TflmBuildError(
            f"no {missing} compiler found on PATH or in ${variable}: the TFLM operators are "
            "compiled for this machine when first used; on Debian: apt-get install g++"
        )
    return Toolchain(cc, cxx)


def _first_command(variable: str, names: Sequence[str]) -> str | None:
    named = os.environ.get(variable)
    candidates = (named,) if named else names
    return next((found for name in candidates if (found := shutil.which(name))), None)


def cache_folder() -> pathlib.Path:
    """The libraries' place: $VIT_TFLM_CACHE, a checkout's ``build/tflm``, or the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return pathlib.Path(named)
    if (REPOSITORY / "pyproject.toml").is_file() and os.access(REPOSITORY, os.W_OK):
        return REPOSITORY / "build" / "tflm"
    base = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(base) / "tflm-vit"


def sources() -> list[pathlib.Path]:
    """The translation units of the library, sorted."""
    operators = [
        path
        for path in PACKAGE.glob("*.cc")
        if path.name not in _NOT_FOR_THE_WHEEL and not path.name.endswith("_test.cc")
    ]
    return sorted(operators) + sorted(KERNELS.glob("*.c"))


def _build_key(toolchain: Toolchain, flags: Sequence[str]) -> str:
    digest = hashlib.sha256()
    headers = [*PACKAGE.rglob("*.h"), *KERNELS.rglob("*.h")]
    for path in sorted([*sources(), *headers]):
        digest.update(str(path.relative_to(REPOSITORY)).encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    for command in (toolchain.cc, toolchain.cxx):
        digest.update(_compiler_version(command))
    digest.update(" ".join([*_COMMON_FLAGS, *_C_FLAGS, *_CXX_FLAGS, *flags]).encode())
    return digest.hexdigest()[:16]


def _compiler_version(command: str) -> bytes:
    try:
        result = subprocess.run([command, "--version"], capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise TflmBuildError(f"{command}: does not run: {error}") from error
    return result.stdout


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
    folder = cache_folder()
    library = folder / f"libvit_tflm_{key}.so"
    if library.is_file():
        return library
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as work:
            built = _compile(toolchain, pathlib.Path(work), key, extra_flags)
            os.replace(built, library)
    except OSError as error:
        raise TflmBuildError(
            f"{folder}: cannot write the operator library there ({error.strerror or error}); "
            f"set {CACHE_VARIABLE} to a writable folder"
        ) from error
    return library


def _compile(
    toolchain: Toolchain, work: pathlib.Path, key: str, extra_flags: Sequence[str]
) -> pathlib.Path:
    includes = [f"-I{REPOSITORY}", f"-I{PACKAGE / 'abi'}"]
    common = [*_COMMON_FLAGS, *includes, f"-DVIT_TFLM_BUILD_KEY={key}", *extra_flags]
    objects = []
    for source in sources():
        target = work / f"{source.name}.o"
        is_c = source.suffix == ".c"
        compiler, dialect = (toolchain.cc, _C_FLAGS) if is_c else (toolchain.cxx, _CXX_FLAGS)
        _run([compiler, *dialect, *common, "-c", str(source), "-o", str(target)], source.name)
        objects.append(str(target))
    library = work / "library.so"
    link = [toolchain.cxx, "-shared", "-Wl,-z,defs", *objects, *extra_flags, "-o", str(library)]
    _run(link, "link")
    return library


def _run(command: Sequence[str], what: str) -> None:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise TflmBuildError(f"{what}: compiler does not run: {error}") from error
    if result.returncode:
        raise TflmBuildError(
            f"{what}: {os.path.basename(command[0])} failed: {result.stderr.strip()[:4000]}"
        )
