# SPDX-License-Identifier: Apache-2.0
"""Mbed OS: a CMake project for Mbed CE, or the legacy layout for mbed-tools.

Mbed OS brings its own start-up, clocks and linker script; of the project's sources the application,
the model and the kernels remain. The Mbed sources are not part of the project.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path, PurePosixPath

from boards.core import CycleCounter
from firmware.elf import MemoryUse
from firmware.errors import FirmwareError
from firmware.escape import cmake_argument, cmake_comment, markdown_text, shell_word
from firmware.formats.common import CLIENT, has_external_weights, sending
from firmware.project import INCLUDE_DIRECTORIES, Group, Project, ProjectFile
from firmware.template import indented, render

_MAIN = Path(__file__).resolve().parents[1] / "src" / "mbed" / "main.cc"
_BOOT_STACK_BYTES = 8192
# Mbed's linker script knows .bss, not .arena.
_DEFINES = ('FIRMWARE_ARENA_SECTION=".bss.arena"', "FIRMWARE_MBED")
# Needed from src/; the rest of the start-up is Mbed's.
_KEPT = frozenset(
    f"src/{name}"
    for name in (
        "app/classifier.c",
        "app/console.c",
        "app/frame.c",
        "app/meter.c",
        "app/model_info.c",
        "app/protocol.c",
    )
)
_CE_REPOSITORY = "https://github.com/mbed-ce/mbed-os.git"
_LEGACY_REFERENCE = "https://github.com/ARMmbed/mbed-os/#mbed-os-6.17.0"


@dataclasses.dataclass(frozen=True)
class Layout:
    """What differs between Mbed CE and the legacy tools."""

    setup: str
    post_build: str
    build: str
    configuration: str


def _keep(file: ProjectFile) -> bool:
    """Headers, model, kernels, and the application without its bare-metal parts."""
    path = str(file.path)
    if path.startswith("board/"):
        return path == "board/board_config.h"
    kept = path in _KEPT or file.group is Group.TFLM or file.path.suffix == ".h"
    return not path.startswith("src/") or kept


def _overrides() -> dict[str, object]:
    return {
        "platform.stdio-baud-rate": 115200,
        "platform.stdio-buffered-serial": True,
        "target.boot-stack-size": f"{_BOOT_STACK_BYTES:#x}",
    }


def _ce_layout(name: str, mbed_board: str) -> Layout:
    setup = (
        "set(MBED_APP_JSON_PATH mbed_app.json5)\n"
        "include(mbed-os/tools/cmake/mbed_toolchain_setup.cmake)\n"
        f"project({name} LANGUAGES C CXX ASM)\n"
        "include(mbed_project_setup)\n"
        "add_subdirectory(mbed-os)"
    )
    build = (
        "With Mbed CE, CMake, Ninja and `arm-none-eabi-gcc`:\n\n```sh\n"
        f"git clone --depth 1 {_CE_REPOSITORY}\n"
        f"cmake -S . -B build -GNinja -DMBED_TARGET={mbed_board} -DCMAKE_BUILD_TYPE=Release\n"
        f"cmake --build build\ncmake --build build --target flash-{name}\n```"
    )
    overrides = {**_overrides(), "target.application-profile": "bare-metal"}
    text = json.dumps({"target_overrides": {"*": overrides}}, indent=2)
    head = "// SPDX-License-Identifier: Apache-2.0\n"
    return Layout(setup, f"mbed_set_post_build({name})", build, f"{head}{text}\n")


def _legacy_layout(name: str, mbed_board: str) -> Layout:
    setup = (
        "set(MBED_PATH ${CMAKE_CURRENT_SOURCE_DIR}/mbed-os)\n"
        "set(MBED_CONFIG_PATH ${CMAKE_CURRENT_BINARY_DIR})\n"
        f"set(APP_TARGET {name})\n"
        "include(${MBED_PATH}/tools/cmake/app.cmake)\n"
        f"project({name} LANGUAGES C CXX ASM)\n"
        "add_subdirectory(${MBED_PATH})"
    )
    build = (
        "With mbed-tools and `arm-none-eabi-gcc`:\n\n```sh\nmbed-tools deploy\n"
        f"mbed-tools compile -m {mbed_board} -t GCC_ARM --profile release\n```"
    )
    content = {"requires": ["bare-metal"], "target_overrides": {"*": _overrides()}}
    text = json.dumps(content, indent=2)
    return Layout(setup, f"mbed_set_post_build({name})", build, f"{text}\n")


def _check(project: Project) -> str:
    board = project.board
    if board.mbed_target is None:
        reason = f"Mbed OS has no target for {board.name}"
        if board.stm32 is None:
            reason = f"Mbed needs its own name of the board: give mbed_target in {board.manual}"
        raise FirmwareError(f"{reason}; or use --format=cmake")
    if board.core.cycle_counter is not CycleCounter.DWT:
        raise FirmwareError(
            f"--format=mbed measures with DWT, which {board.core.name} lacks; use --format=cmake"
        )
    if has_external_weights(project):
        raise FirmwareError(
            "--format=mbed has the weights in internal flash only; use --format=cmake for QSPI"
        )
    return shell_word(board.mbed_target)


def _cxx_settings(project: Project) -> str:
    """What the TFLM runtime adds: headers without warnings, language options, the library."""
    if not project.has_cxx:
        return ""
    name = project.name
    flags = [f"$<$<COMPILE_LANGUAGE:CXX>:{flag}>" for flag in project.flags.cxx]
    archives = [f"${{CMAKE_CURRENT_SOURCE_DIR}}/{path}" for path in project.archives]
    blocks = (
        (f"target_include_directories({name} SYSTEM PRIVATE", map(str, project.system_includes)),
        (f"target_compile_options({name} PRIVATE", flags),
        (f"target_link_libraries({name} PRIVATE", archives),
    )
    return "\n".join(f"{head}\n{indented(list(values))})" for head, values in blocks) + "\n"


def _lists(project: Project, layout: Layout) -> str:
    units = [f for f in project.translation_units() if _keep(f)]
    return render(
        "mbed/CMakeLists.txt",
        TITLE=cmake_comment(project.board.title),
        NAME=project.name,
        SETUP=layout.setup,
        SOURCES=indented(["src/mbed/main.cc", *(cmake_argument(str(f.path)) for f in units)]),
        INCLUDES=indented([str(d) for d in (*INCLUDE_DIRECTORIES, *project.extra_includes)]),
        DEFINES=indented([cmake_argument(d) for d in (*_DEFINES, *project.defines)]),
        MBED_TARGET="mbed-baremetal",
        CXX_SETTINGS=_cxx_settings(project),
        KERNEL_SOURCES=indented([str(f.path) for f in units if f.group is Group.KERNEL]),
        KERNEL_OPTIMIZATION=project.flags.kernel_optimization,
        POST_BUILD=layout.post_build,
    )


def _files(project: Project, layout: Layout, configuration: str) -> tuple[ProjectFile, ...]:
    kept = [f for f in project.files if _keep(f)]
    texts = [
        ("CMakeLists.txt", _lists(project, layout)),
        (configuration, layout.configuration),
        (
            "README.md",
            render(
                "mbed/README.md",
                NAME=project.name,
                TITLE=markdown_text(project.board.title),
                MBED_BOARD=project.board.mbed_target or "",
                BUILD=layout.build,
                BAUD=str(project.board.console.baud),
                SENDING=sending(project, "From the toolkit:", [CLIENT.format(port="/dev/ttyACM0")]),
            ),
        ),
    ]
    added = [ProjectFile(PurePosixPath(path), Group.FIRMWARE, text=text) for path, text in texts]
    main = ProjectFile(PurePosixPath("src/mbed/main.cc"), Group.FIRMWARE, origin=_MAIN)
    return (*kept, *added, main)


def files(project: Project, use: MemoryUse | None) -> tuple[ProjectFile, ...]:
    """Every file of a Mbed CE project.

    Raises:
      FirmwareError: Mbed does not know the board, or the weights are in external flash.
    """
    del use  # Mbed's own share is not known here.
    layout = _ce_layout(project.name, _check(project))
    return _files(project, layout, "mbed_app.json5")


def legacy_files(project: Project, use: MemoryUse | None) -> tuple[ProjectFile, ...]:
    """Every file of a project for mbed-tools; errors as `files`."""
    del use
    layout = _legacy_layout(project.name, _check(project))
    reference = ProjectFile(
        PurePosixPath("mbed-os.lib"), Group.FIRMWARE, text=f"{_LEGACY_REFERENCE}\n"
    )
    return (*_files(project, layout, "mbed_app.json"), reference)
