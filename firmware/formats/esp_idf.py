# SPDX-License-Identifier: Apache-2.0
"""A library as an ESP-IDF component; its cores run the portable kernels."""

from __future__ import annotations

from pathlib import PurePosixPath

from firmware.escape import cmake_argument
from firmware.formats import yaml
from firmware.formats.library_common import describe, readme
from firmware.library import Library
from firmware.project import Group, ProjectFile
from firmware.template import indented
from tflm_vit.version import VERSION  # of the toolkit; the model's is in its header

_BUILD = """\
Put this folder into `components/` of your project; its name there is the component's. Several
such components may be in one project: each is an archive, and the linker takes the kernels from
one of them.

The kernels are portable C: Xtensa and RISC-V have none of their own here. All of it is compiled
with `{optimization}`. A task needs a stack of what your compiler's `-fstack-usage` says:
{stack}."""


def _portable(library: Library) -> list[str]:
    """What is compiled, without assembly, which is Arm's."""
    paths = (*library.sources(Group.MODEL), *library.sources(Group.KERNEL))
    return [path for path in paths if not path.endswith(".S")]


def files(library: Library) -> tuple[ProjectFile, ...]:
    """The library with CMakeLists.txt, idf_component.yml and README."""
    optimization = library.optimization.kernels
    lists = library.facts.render(
        "../esp_idf/CMakeLists.txt",
        SOURCES=indented([f"  {cmake_argument(path)}" for path in _portable(library)]),
        OPTIMIZATION=optimization,
    )
    manifest = yaml.document(
        {"version": VERSION, "description": describe(library), "license": "Apache-2.0"}
    )
    stack = library.facts.stack
    said = (
        "the header has none"
        if stack is None
        else f"the header's is for {stack.core}, a core of Arm's"
    )
    build = _BUILD.format(optimization=optimization, stack=said)
    texts = (
        ("CMakeLists.txt", lists),
        ("idf_component.yml", manifest),
        ("README.md", readme(library, build)),
    )
    added = (ProjectFile(PurePosixPath(path), Group.FIRMWARE, text=text) for path, text in texts)
    return (*library.files, *added)
