# SPDX-License-Identifier: Apache-2.0
"""A library for any CMake project: `add_subdirectory`, then link its target."""

from __future__ import annotations

from pathlib import PurePosixPath

from firmware.build_flags import FLAGS
from firmware.escape import cmake_argument
from firmware.formats.library_common import readme
from firmware.library import Library
from firmware.library.tflm_engine import TflmEngine
from firmware.project import Group, ProjectFile
from firmware.template import indented
from firmware.tflm.tree import FINGERPRINT_HEADERS

_SECTIONS = "-ffunction-sections;-fdata-sections"
_C11 = "C_STANDARD 11 C_STANDARD_REQUIRED ON"
_CXX17 = f"{_C11} CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON"
# Of every library over TFLM in a project, whatever its version: there is one TFLM.
_TENSORFLOW = "vit_tensorflow_lite_micro"
_BUILD = """\
```cmake
add_subdirectory({name})
target_link_libraries(firmware PRIVATE {name})
```

For a core with the DSP extension give its flags (`-mcpu=cortex-m7` and so on) to the whole build,
as a toolchain file does; any other core, or a host, runs the portable C with the same results.
Kernels are compiled with `VIT_KERNEL_OPTIMIZATION` ({optimization}) in every configuration."""
_TFLM = """\


TensorFlow Lite Micro is yours: `-DTFLM_DIR=...` (or the environment) names its tree, in which its
Makefile has fetched its third parties. The library that it has made there for this core is linked
(`TFLM_LIBRARY` names another, or a target of yours); where there is none, its sources are compiled.
The enclosing project needs C++ (`project(... LANGUAGES C CXX)`).

| registered with TFLM | |
|---|---|
{operators}
"""


def _sources(library: Library, group: Group) -> str:
    return indented([f"  {cmake_argument(path)}" for path in library.sources(group)])


def _cxx() -> str:
    flags = ";".join(flag for flag in FLAGS.cxx if not flag.startswith("-std="))
    return f"\n    $<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang,ARMClang>:{flags}>"


def _shared(library: Library, engine: TflmEngine) -> str:
    """The targets that libraries over TFLM share."""
    facts, fingerprint = library.facts, engine.size.fingerprint
    said = "" if not fingerprint else facts.render(
        "tflm/fingerprint.cmake",
        HEADERS=" ".join(FINGERPRINT_HEADERS),
        FINGERPRINT=fingerprint,
    )  # fmt: skip
    return facts.render(
        "tflm/CMakeLists.txt",
        TENSORFLOW=_TENSORFLOW,
        TFLM=f"vit_tflm_{facts.kernels}",
        TFLM_SOURCES=_sources(library, Group.TFLM),
        KERNELS=library.kernels,
        STANDARDS=_CXX17,
        SECTIONS=_SECTIONS,
        CXX=_cxx(),
        FINGERPRINT=said,
    )


def _registered(engine: TflmEngine) -> str:
    custom = {op.name for op in engine.graph.operators if op.opcode == "CUSTOM"}
    rows = (
        f"| `{name}` | {'of this library' if name in custom else 'of TFLM'} |"
        for name in engine.operators()
    )
    return "\n".join(rows)


def files(library: Library) -> tuple[ProjectFile, ...]:
    """The library with CMakeLists.txt and README."""
    optimization, engine = library.optimization.kernels, library.facts.engine
    build = _BUILD.format(name=library.name, optimization=optimization)
    values = {"LANGUAGES": "C ASM", "SHARED": "", "STANDARDS": _C11, "CXX": ""}
    values["LANGUAGE_CHECK"] = ""
    linked, texts = library.kernels, []
    if isinstance(engine, TflmEngine):
        values |= {"LANGUAGES": "C CXX ASM", "STANDARDS": _CXX17, "CXX": _cxx()}
        values["SHARED"] = _shared(library, engine)
        values["LANGUAGE_CHECK"] = library.facts.render("tflm/languages.cmake")
        linked = f"vit_tflm_{library.facts.kernels}"
        build += _TFLM.format(operators=_registered(engine)).rstrip()
        tensorflow = library.facts.render(
            "tflm/tensorflow.cmake", TARGET=_TENSORFLOW, SECTIONS=_SECTIONS
        )
        texts.append(("tflm/tensorflow.cmake", tensorflow))
    lists = library.facts.render(
        "CMakeLists.txt",
        TITLE=library.facts.engine.title,
        KERNELS=library.kernels,
        KERNEL_SOURCES=_sources(library, Group.KERNEL),
        MODEL_OPTIMIZATION=library.optimization.model,
        MODEL_SOURCES=_sources(library, Group.MODEL),
        KERNEL_OPTIMIZATION=optimization,
        SECTIONS=_SECTIONS,
        LINKED=linked,
        **values,
    )
    texts += [("CMakeLists.txt", lists), ("README.md", readme(library, build))]
    added = (ProjectFile(PurePosixPath(path), Group.FIRMWARE, text=text) for path, text in texts)
    return (*library.files, *added)
