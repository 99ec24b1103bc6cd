# SPDX-License-Identifier: Apache-2.0
"""CMake: presets, a toolchain file, and targets that program the board."""

from __future__ import annotations

from pathlib import PurePosixPath

from boards import Board
from firmware.elf import MemoryUse
from firmware.escape import cmake_argument, cmake_comment, json_text, markdown_text
from firmware.formats import vscode
from firmware.formats.common import has_external_weights, memory_table, use_section
from firmware.project import LINKER_SCRIPT, Group, Project, ProjectFile
from firmware.template import indented, render


def _sources(project: Project, group: Group) -> str:
    units = [f for f in project.translation_units() if f.group is group]
    return indented([cmake_argument(str(unit.path)) for unit in units])


def _program_commands(board: Board, name: str, external: bool) -> list[tuple[str, str]]:
    """(target, command) of each way to program the board."""
    elf = f"$<TARGET_FILE:{name}>"
    tool = board.flash_tool
    loader = tool.external_loader if external else None
    external_loader = f" -el {cmake_argument(loader)}" if loader else ""
    # OpenOCD's stock board files do not drive the QSPI flash: it gets the internal part only.
    openocd_image = f"{name}.bin {board.region(board.code_region).base:#010x}" if external else elf
    program = f"program {openocd_image} verify reset exit"
    commands = []
    if tool.openocd_configs:
        configs = " ".join(f"-f {cmake_argument(path)}" for path in tool.openocd_configs)
        commands.append(("flash-openocd", f'openocd {configs} -c "{program}"'))
    if tool.stm32:
        command = f"STM32_Programmer_CLI -c port=SWD{external_loader} -w {elf} -v -rst"
        commands.append(("flash-cubeprogrammer", command))
    return commands


def _flash_targets(board: Board, name: str, external: bool) -> str:
    return "\n".join(
        f"add_custom_target({target}\n  COMMAND {command}\n  DEPENDS {name} VERBATIM USES_TERMINAL)"
        for target, command in _program_commands(board, name, external)
    )


def _tflm_sources(project: Project) -> str:
    return f"set(TFLM_SOURCES\n{_sources(project, Group.TFLM)})\n" if project.has_cxx else ""


def _system_includes(project: Project) -> str:
    if not project.system_includes:
        return ""
    paths = indented([str(path) for path in project.system_includes])
    return f"target_include_directories({project.name} SYSTEM PRIVATE\n{paths})\n"


def _cxx_options(project: Project) -> str:
    if not project.has_cxx:
        return ""
    return "\n" + indented([f"$<$<COMPILE_LANGUAGE:CXX>:{flag}>" for flag in project.flags.cxx])


def _libraries(project: Project) -> str:
    archives = [f"${{CMAKE_CURRENT_SOURCE_DIR}}/{path}" for path in project.archives]
    return " ".join([*archives, *project.flags.libraries])


def _lists(project: Project, external: bool) -> str:
    board, name, flags = project.board, project.name, project.flags
    external_image = (
        f"  COMMAND ${{CMAKE_OBJCOPY}} -O binary -j .extflash $<TARGET_FILE:{name}> "
        f"{name}_external.bin\n"
    )
    return render(
        "cmake/CMakeLists.txt",
        TITLE=cmake_comment(board.title),
        NAME=name,
        CORE_FLAGS=" ".join(board.core.compiler_flags()),
        LINKER_SCRIPT=str(LINKER_SCRIPT),
        FIRMWARE_SOURCES=_sources(project, Group.FIRMWARE),
        MODEL_SOURCES=_sources(project, Group.MODEL),
        KERNEL_SOURCES=_sources(project, Group.KERNEL),
        LANGUAGES="C CXX ASM" if project.has_cxx else "C ASM",
        TFLM_SOURCES=_tflm_sources(project),
        SYSTEM_INCLUDES=_system_includes(project),
        CXX_OPTIONS=_cxx_options(project),
        INCLUDES=indented([str(d) for d in project.include_directories(Group.FIRMWARE)]),
        COMPILE_OPTIONS=indented(
            [*flags.common, *flags.warnings, *(cmake_argument(f"-D{d}") for d in project.defines)]
        ),
        C_STANDARD=flags.c_standard,
        LINK_OPTIONS=indented(flags.link),
        LIBRARIES=_libraries(project),
        FIRMWARE_OPTIMIZATION=flags.firmware_optimization,
        MODEL_OPTIMIZATION=flags.model_optimization,
        KERNEL_OPTIMIZATION=flags.kernel_optimization,
        EXTERNAL_IMAGE=external_image if external else "",
        FLASH_TARGETS=_flash_targets(board, name, external),
    )


def _program_section(board: Board) -> str:
    targets = [target for target, _ in _program_commands(board, "", external=False)]
    if not targets:
        return "Write the `.elf` (or the `.bin`) with the tool of your debug probe."
    commands = "\n".join(f"cmake --build --preset release --target {t}" for t in targets)
    return f"```sh\n{commands}\n```"


def _readme(project: Project, use: MemoryUse | None, external: bool) -> str:
    board = project.board
    region = board.external_flash()
    note = f" and `{project.name}_external.bin` for the external flash" if external else ""
    through_loader = (
        "STM32CubeProgrammer writes both parts of the `.elf` through its external loader; OpenOCD "
        "writes the internal part, and "
    )
    program = (
        "\nThe weights lie in the external flash: "
        f"{through_loader if board.flash_tool.external_loader else ''}"
        f"`{project.name}_external.bin` has to be written to {region.base:#010x} another way.\n"
        if external and region
        else ""
    )
    tools = (
        " Registers and ST-LINK's server are those of\nSTM32CubeCLT, where ST's extension says "
        "that it is; elsewhere, change the paths in `launch.json`."
        if board.flash_tool.stm32
        else ""
    )
    return render(
        "cmake/README.md",
        NAME=project.name,
        TITLE=markdown_text(board.title),
        PART=markdown_text(board.part),
        MEGAHERTZ=str(board.clock.system_hz // 1_000_000),
        USE=use_section(project),
        EXTERNAL_NOTE=note,
        PROGRAM=_program_section(board),
        EXTERNAL_PROGRAM=program,
        DEBUG_TOOLS=tools,
        MEMORY=memory_table(use),
    )


def files(project: Project, use: MemoryUse | None) -> tuple[ProjectFile, ...]:
    """CMakeLists.txt, presets, toolchain file, VS Code's sessions and README."""
    external = has_external_weights(project)
    texts = (
        ("CMakeLists.txt", _lists(project, external)),
        (
            "CMakePresets.json",
            render("cmake/CMakePresets.json", TITLE=json_text(project.board.title)),
        ),
        (
            "cmake/arm-none-eabi.cmake",
            render("cmake/toolchain.cmake", CORE=project.board.core.name),
        ),
        (".vscode/launch.json", vscode.launch(project.board, external)),
        (".vscode/extensions.json", vscode.extensions(project.board)),
        ("README.md", _readme(project, use, external)),
    )
    added = (ProjectFile(PurePosixPath(path), Group.FIRMWARE, text=text) for path, text in texts)
    return (*project.files, *added)
