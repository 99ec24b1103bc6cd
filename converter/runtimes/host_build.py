# SPDX-License-Identifier: Apache-2.0
"""Builds a compiled model and the kernels into a host shared library, once per content.

Libraries live in the cache (toolchain/) under a key made from every source byte, the compiler, its
options and the processor, so that an edited kernel is never mistaken for the built one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from converter.compile import RUNTIME, CompiledModel, include_dirs, kernel_headers, kernel_sources
from toolchain import cached, compiled, digest, host_c, processor, raised_as, run_tool

KIND = "host"  # in the cache

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


class HostBuildError(RuntimeError):
    """The host library cannot be built; the message is one clear line (and the compiler's)."""


def _kernels(extra_flags: Sequence[str]) -> tuple[Path, str]:
    """Static library of the kernels, and its key."""
    compiler = host_c()
    objects = compiled(
        KIND,
        compiler,
        [*FLAGS, *extra_flags],
        kernel_sources("host"),
        kernel_headers(),
        places=_includes(),
        seen=[processor()],
    )
    key = digest(compiler.version, *(path.read_bytes() for path in objects))

    def archive_into(work: Path) -> Path:
        archive = work / "kernels.a"
        run_tool(["ar", "rcsD", str(archive), *map(str, objects)], "ar")
        return archive

    return cached(KIND, "libvit_kernels", ".a", key, archive_into), key


def _includes() -> list[str]:
    """Include folders; no path of this machine gets into what is compiled."""
    folders = include_dirs()
    maps = [f"-ffile-prefix-map={folder}={folder.name}" for folder in folders]
    return [*(f"-I{folder}" for folder in folders), *maps]


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
    with raised_as(lambda error: HostBuildError(str(error))):
        return _library(model, debug, extra_kernel_flags)


def _library(model: CompiledModel, debug: bool, extra_kernel_flags: Sequence[str]) -> Path:
    compiler = host_c()
    kernels, kernels_key = _kernels(extra_kernel_flags)
    flags = [*FLAGS, *(DEBUG_FLAGS if debug else ())]
    driver = RUNTIME / "vit_host_driver.c"
    contents = [part for f in model.files for part in (f.name, f.content)]
    key = digest(kernels_key, " ".join(flags), driver.read_bytes(), *contents)

    def build(work: Path) -> Path:
        model.write(work)
        names = ["vit_model.c", "vit_model_weights.S"] + (["vit_model_debug.c"] if debug else [])
        sources = [*(str(work / name) for name in names), str(driver)]
        includes = [f"-I{work}", *_includes(), f"-ffile-prefix-map={work}=model"]
        library = work / "model.so"
        linking = ["-shared", "-Wl,-z,defs", "-o", str(library)]
        command = [compiler.path, *flags, *includes, *sources, str(kernels), *linking]
        run_tool(command, "compiled model")
        return library

    return cached(KIND, "libvit_model", ".so", key, build)
