# SPDX-License-Identifier: Apache-2.0
"""A library as a Zephyr module with a sample."""

from __future__ import annotations

from pathlib import PurePosixPath

from firmware.escape import cmake_argument
from firmware.formats import yaml
from firmware.formats.library_common import readme
from firmware.formats.library_sample import sample_of
from firmware.library import Library
from firmware.project import Group, ProjectFile
from firmware.template import indented

_OWN_STACK_BYTES = 1024  # of the sample's main, and what it prints with
_BUILD = """\
Name this folder in `EXTRA_ZEPHYR_MODULES` (or as a project of your west manifest), and set
`{option}=y`. The sample does both for itself:

```sh
west build -b YOUR_BOARD samples/{name}
```

The task that calls needs a stack of `{upper}_STACK_BYTES` beside its own."""


def _option(library: Library) -> str:
    return f"CONFIG_TFLM_VIT_{library.facts.upper}"


def _sources(library: Library, group: Group) -> str:
    return indented([f"    ${{root}}/{cmake_argument(path)}" for path in library.sources(group)])


def _configuration(library: Library) -> str:
    stack = library.facts.stack
    lines = ["# SPDX-License-Identifier: Apache-2.0", f"{_option(library)}=y", "CONFIG_PRINTK=y"]
    if stack is not None:
        lines.append(f"CONFIG_MAIN_STACK_SIZE={stack.size_bytes + _OWN_STACK_BYTES}")
    return "\n".join([*lines, ""])


def _texts(library: Library) -> list[tuple[str, str]]:
    name, facts = library.name, library.facts
    sample = sample_of(library)
    folder = f"samples/{name}"
    # Zephyr makes variables of the name; its own modules have many short ones.
    module: dict[str, yaml.Value] = {
        "name": f"tflm_vit_{name}",
        "build": {"cmake": "zephyr", "kconfig": "zephyr/Kconfig"},
        "samples": ["samples"],
    }
    tests: dict[str, yaml.Value] = {f"sample.tflm_vit.{name}": {"tags": "tflm_vit"}}
    lists = facts.render(
        "../zephyr/CMakeLists.txt",
        OPTION=_option(library),
        KERNELS=library.kernels,
        KERNEL_SOURCES=_sources(library, Group.KERNEL),
        KERNEL_OPTIMIZATION=library.optimization.kernels,
        MODEL_OPTIMIZATION=library.optimization.model,
        MODEL_SOURCES=_sources(library, Group.MODEL),
    )
    main = facts.render(
        "../zephyr/main.c",
        DECLARATIONS=sample.declarations,
        CALL=sample.call,
        CLASS="" if sample.result is None else ", class %u",
        RESULT="" if sample.result is None else f", (unsigned){sample.result}",
    )
    build = _BUILD.format(option=_option(library), name=name, upper=facts.upper)
    return [
        ("zephyr/module.yml", yaml.document(module)),
        ("zephyr/CMakeLists.txt", lists),
        ("zephyr/Kconfig", facts.render("../zephyr/Kconfig")),
        (f"{folder}/CMakeLists.txt", facts.render("../zephyr/sample.txt")),
        (f"{folder}/prj.conf", _configuration(library)),
        (f"{folder}/sample.yaml", yaml.document({"sample": {"name": name}, "tests": tests})),
        (f"{folder}/src/main.c", main),
        ("README.md", readme(library, build)),
    ]


def files(library: Library) -> tuple[ProjectFile, ...]:
    """The library with the module's description, its sample and README."""
    added = (ProjectFile(PurePosixPath(p), Group.FIRMWARE, text=t) for p, t in _texts(library))
    return (*library.files, *added)
