# SPDX-License-Identifier: Apache-2.0
"""Builds a compiled model and the kernels into a host shared library, once per content.

Libraries live in a cache folder under a key made from every source byte, the compiler, its
options and the processor, so that an edited kernel is never mistaken for the built one.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from converter.compile import RUNTIME, CompiledModel, include_dirs, kernel_sources

CACHE_VARIABLE = "VIT_HOST_CACHE"
FLAGS = (
    "-std=c11",
    "-O3",
    "-march=native",
    "-fPIC",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Werror",
)
DEBUG_FLAGS = ("-DVIT_MODEL_DEBUG",)
_COMPILE_SECONDS = 600


class HostBuildError(RuntimeError):
    """The host library cannot be built; the message is one clear line (and the compiler's)."""


def cache_folder() -> Path:
    """$VIT_HOST_CACHE, a checkout's ``build/host``, or the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    repository = Path(__file__).resolve().parents[1]
    if (repository / "pyproject.toml").is_file() and os.access(repository, os.W_OK):
        return repository / "build" / "host"
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "tflm-vit-host"


@functools.cache
def _compiler(command: str) -> tuple[str, bytes]:
    """Path of the C compiler and what identifies its output on this machine."""
    path = shutil.which(command)
    if path is None:
        raise HostBuildError(
            f"no C compiler: {command!r} is not on PATH; install one (Debian: apt-get install gcc) "
            "or name it in $CC"
        )
    version = _run([path, "--version"], "compiler").encode()
    return path, version + _processor()


def _processor() -> bytes:
    """What ``-march=native`` depends on."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return (platform.machine() + platform.processor()).encode()
    lines = [x for x in text.splitlines() if x.startswith(("model name", "flags", "Features"))]
    return platform.machine().encode() + "\n".join(lines[:2]).encode()


def _run(command: Sequence[str], what: str) -> str:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise HostBuildError(f"{what}: {command[0]} does not run: {error}") from error
    if result.returncode:
        raise HostBuildError(f"{what}: {command[0]} failed: {result.stderr.strip()[:4000]}")
    return result.stdout


def _digest(parts: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:20]


def _cached(name: str, build: Callable[[Path], Path]) -> Path:
    """The cache's file ``name``, made by ``build(work folder)`` if it is missing."""
    folder = cache_folder()
    target = folder / name
    if target.is_file():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as work:
            os.replace(build(Path(work)), target)
    except OSError as error:
        raise HostBuildError(
            f"{folder}: cannot write the host library there ({error.strerror or error}); set "
            f"{CACHE_VARIABLE} to a writable folder"
        ) from error
    return target


def _kernels(extra_flags: Sequence[str]) -> tuple[Path, str]:
    """Static library of the kernels, and its key."""
    command, identity = _compiler(os.environ.get("CC") or "cc")
    sources = kernel_sources("host")
    headers = [h for folder in include_dirs() for h in sorted(folder.rglob("*.h"))]
    flags = [*FLAGS, *extra_flags]
    contents = [p.read_bytes() for p in (*sources, *headers)]
    key = _digest([identity, " ".join(flags).encode(), *contents])

    def build(work: Path) -> Path:
        objects = []
        for source in sources:
            objects.append(str(work / f"{source.stem}.o"))
            includes = [f"-I{p}" for p in include_dirs()]
            _run([command, *flags, *includes, "-c", str(source), "-o", objects[-1]], source.name)
        archive = work / "kernels.a"
        _run(["ar", "rcsD", str(archive), *objects], "ar")
        return archive

    return _cached(f"libvit_kernels_{key}.a", build), key


def build_library(
    model: CompiledModel, debug: bool = False, extra_kernel_flags: Sequence[str] = ()
) -> Path:
    """Shared library of a compiled model with `vit_host_driver.c`'s interface.

    Args:
      model: the generated files.
      debug: build with -DVIT_MODEL_DEBUG.
      extra_kernel_flags: for the kernels only (tests plant faults with them).

    Raises:
      HostBuildError: no compiler, a compiler error, or an unwritable cache.
    """
    command, _ = _compiler(os.environ.get("CC") or "cc")
    kernels, kernels_key = _kernels(extra_kernel_flags)
    flags = [*FLAGS, *(DEBUG_FLAGS if debug else ())]
    driver = RUNTIME / "vit_host_driver.c"
    contents = [f.name.encode() + b"\0" + f.content for f in model.files]
    key = _digest([kernels_key.encode(), " ".join(flags).encode(), driver.read_bytes(), *contents])

    def build(work: Path) -> Path:
        model.write(work)
        names = ["vit_model.c", "vit_model_weights.S"] + (["vit_model_debug.c"] if debug else [])
        sources = [*(str(work / name) for name in names), str(driver)]
        includes = [f"-I{p}" for p in (work, *include_dirs())]
        library = work / "model.so"
        linking = ["-shared", "-Wl,-z,defs", "-o", str(library)]
        _run([command, *flags, *includes, *sources, str(kernels), *linking], "compiled model")
        return library

    return _cached(f"libvit_model_{key}.so", build)
