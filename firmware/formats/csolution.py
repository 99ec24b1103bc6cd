# SPDX-License-Identifier: Apache-2.0
"""A library as two layers of a csolution project: the model, and the kernels, which all share."""

from __future__ import annotations

from pathlib import PurePosixPath

from firmware.formats import yaml
from firmware.formats.library_common import describe, readme
from firmware.library import Library
from firmware.project import Group, ProjectFile

_LANGUAGE = "c11"
_BUILD = """\
Name both layers in your `cproject.yml`, the kernels' once, whatever the number of models (all
exported by one version of the toolkit have the same):

```yaml
project:
  layers:
    - layer: {name}/{name}.clayer.yml
    - layer: {name}/{kernels}.clayer.yml
```

Device and compiler are your solution's; kernels are compiled with `optimize: speed`."""


def _layer(kind: str, text: str, group: dict[str, yaml.Value], path: str = "") -> str:
    layer: dict[str, yaml.Value] = {"type": kind, "description": text, "language-C": _LANGUAGE}
    if path:
        layer["add-path"] = [path]
    return yaml.document({"layer": {**layer, "groups": [group]}})


def _files(library: Library, group: Group) -> list[dict[str, str]]:
    return [{"file": path} for path in library.sources(group)]


def files(library: Library) -> tuple[ProjectFile, ...]:
    """The library with its layers and README."""
    name, kernels = library.name, library.kernels
    model = _layer(
        f"Model_{name}",
        describe(library),
        {"group": name, "optimize": "speed", "files": _files(library, Group.MODEL)},
        "include",
    )
    shared = _layer(
        "Kernels",
        "The operators of all models that one version of the toolkit exported.",
        {"group": kernels, "optimize": "speed", "files": _files(library, Group.KERNEL)},
    )
    texts = (
        (f"{name}.clayer.yml", model),
        (f"{kernels}.clayer.yml", shared),
        ("README.md", readme(library, _BUILD.format(name=name, kernels=kernels))),
    )
    added = (ProjectFile(PurePosixPath(path), Group.FIRMWARE, text=text) for path, text in texts)
    return (*library.files, *added)
