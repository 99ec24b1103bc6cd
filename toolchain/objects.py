# SPDX-License-Identifier: Apache-2.0
"""Object files of C and assembly sources, each an entry of the cache.

A source that was edited, or a fault that a test plants in one, is compiled without the others.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

from toolchain.cache import cached, digest
from toolchain.compilers import Compiler, run_tool


def compiled(
    kind: str,
    compiler: Compiler,
    flags: Sequence[str],
    sources: Iterable[Path],
    headers: Iterable[Path],
    *,
    places: Sequence[str] = (),
    seen: Sequence[str] = (),
) -> list[Path]:
    """Compiles each source unless that was done before; returns the objects in the same order.

    Args:
      kind: folder in the cache.
      flags: decide the content.
      headers: all that the sources may include.
      places: options that say where files are (-I, -ffile-prefix-map) and leave no trace in the
        content, which is the same wherever a copy of the files lies.
      seen: what else the content depends on, e.g. the processor with -march=native.

    Raises:
      ToolchainError: the compiler's first error, or a folder that can not be written.
    """
    included = [part for path in headers for part in (path.name, path.read_bytes())]
    common = digest(compiler.version, "\0".join(flags), "\0".join(seen), *included)
    objects = []
    for source in sources:
        key = digest(common, source.name, source.read_bytes())
        command = [compiler.path, *flags, *places, "-c", str(source)]
        compile_into = functools.partial(_compile, command, source.name)
        # The suffix stays in the name: a C file and an assembly file may share a stem.
        name = f"{source.stem}-{source.suffix[1:]}"
        objects.append(cached(kind, name, ".o", key, compile_into))
    return objects


def _compile(command: Sequence[str], what: str, work: Path) -> Path:
    target = work / "object.o"
    run_tool([*command, "-o", str(target)], what)
    return target
