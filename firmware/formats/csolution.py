# SPDX-License-Identifier: Apache-2.0
"""A library as two layers of a csolution project: the model, and the kernels, which all share.

And as a CMSIS-Pack, for tools that take components instead.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from firmware.formats import cmsis_pack, yaml
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

Device and compiler are your solution's; kernels are compiled with `optimize: speed`.

This folder is a CMSIS-Pack as well, by `{pack}`: instead of the layers, name it under
`packs:` with its `path:`, and its components, both with `optimize: speed`. The kernels' component
is the same in the packs of all models that one version of the toolkit exported: choose it from one
of them (`from-pack:`)."""


def _layer(kind: str, text: str, group: dict[str, yaml.Value], path: str = "") -> str:
    layer: dict[str, yaml.Value] = {"type": kind, "description": text, "language-C": _LANGUAGE}
    if path:
        layer["add-path"] = [path]
    return yaml.document({"layer": {**layer, "groups": [group]}})


def _files(library: Library, group: Group) -> list[dict[str, str]]:
    return [{"file": path} for path in library.sources(group)]


def _build(library: Library) -> str:
    pack = cmsis_pack.name_of(library)
    return _BUILD.format(name=library.name, kernels=library.kernels, pack=pack)


def files(library: Library) -> tuple[ProjectFile, ...]:
    """The library with its layers, its description as a pack, and README."""
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
        (cmsis_pack.name_of(library), cmsis_pack.description(library)),
        ("README.md", readme(library, _build(library))),
    )
    added = (ProjectFile(PurePosixPath(path), Group.FIRMWARE, text=text) for path, text in texts)
    return (*library.files, *added)
