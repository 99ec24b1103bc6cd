# SPDX-License-Identifier: Apache-2.0
"""A library for PlatformIO, for any framework."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from firmware.formats.library_common import describe, readme
from firmware.library import Library
from firmware.project import Group, ProjectFile
from tflm_vit.version import VERSION  # of the toolkit; the model's is in its header

_BUILD = """\
Put this folder into `lib/` of your project and include `{name}.h`. Several such libraries may
be in one project: each becomes an archive (leave `lib_archive` as it is), and the linker takes
the kernels from one of them. All of it is compiled with `{optimization}`."""


def _manifest(library: Library) -> str:
    value = {
        "name": library.name,
        "version": VERSION,
        "description": describe(library),
        "license": "Apache-2.0",
        "headers": f"{library.name}.h",
        "frameworks": "*",
        "platforms": "*",
        "build": {
            "includeDir": "include",
            "srcDir": ".",
            "srcFilter": ["-<*>", "+<src/>", "+<kernels/>"],
            "flags": [library.optimization.kernels],
            "libArchive": True,
        },
    }
    return json.dumps(value, indent=2) + "\n"


def files(library: Library) -> tuple[ProjectFile, ...]:
    """The library with library.json and README."""
    build = _BUILD.format(name=library.name, optimization=library.optimization.kernels)
    texts = (("library.json", _manifest(library)), ("README.md", readme(library, build)))
    added = (ProjectFile(PurePosixPath(path), Group.FIRMWARE, text=text) for path, text in texts)
    return (*library.files, *added)
