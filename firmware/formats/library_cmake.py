# SPDX-License-Identifier: Apache-2.0
"""A library for any CMake project: `add_subdirectory`, then link its target."""

from __future__ import annotations

from pathlib import PurePosixPath

from firmware.escape import cmake_argument
from firmware.formats.library_common import readme
from firmware.library import Library
from firmware.project import Group, ProjectFile
from firmware.template import indented

_BUILD = """\
```cmake
add_subdirectory({name})
target_link_libraries(firmware PRIVATE {name})
```

For a core with the DSP extension give its flags (`-mcpu=cortex-m7` and so on) to the whole build,
as a toolchain file does; any other core, or a host, runs the portable C with the same results.
Kernels are compiled with `VIT_KERNEL_OPTIMIZATION` ({optimization}) in every configuration."""


def _sources(library: Library, group: Group) -> str:
    return indented([f"  {cmake_argument(path)}" for path in library.sources(group)])


def files(library: Library) -> tuple[ProjectFile, ...]:
    """The library with CMakeLists.txt and README."""
    optimization = library.optimization.kernels
    lists = library.facts.render(
        "CMakeLists.txt",
        KERNELS=library.kernels,
        KERNEL_SOURCES=_sources(library, Group.KERNEL),
        MODEL_OPTIMIZATION=library.optimization.model,
        MODEL_SOURCES=_sources(library, Group.MODEL),
        KERNEL_OPTIMIZATION=optimization,
        SECTIONS="-ffunction-sections;-fdata-sections",
    )
    build = _BUILD.format(name=library.name, optimization=optimization)
    texts = (("CMakeLists.txt", lists), ("README.md", readme(library, build)))
    added = (ProjectFile(PurePosixPath(path), Group.FIRMWARE, text=text) for path, text in texts)
    return (*library.files, *added)
