# SPDX-License-Identifier: Apache-2.0
"""STM32CubeIDE: .project, .cproject with Debug and Release, launch configurations, README.

The keys are those that CubeIDE itself writes for an executable without a .ioc file. All paths are
relative to the project. Debug compiles with -Og, Release with the kernels' optimisation throughout:
an option per folder would need identifiers that only CubeIDE can make.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from boards import Board
from firmware.elf import MemoryUse
from firmware.errors import FirmwareError
from firmware.escape import markdown_text
from firmware.formats.common import has_external_weights, memory_table, use_section
from firmware.formats.cproject import ConfigurationWriter, cproject
from firmware.formats.cproject_tools import CONFIGURATIONS, Configuration
from firmware.formats.xml import Element, document
from firmware.project import Group, Project, ProjectFile
from firmware.template import render

_CDT = "org.eclipse.cdt"
_LAUNCH = "com.st.stm32cube.ide.mcu.debug.launch"
_STLINK = "com.st.stm32cube.ide.mcu.debug.stlink"
_RESOURCES = ".settings/org.eclipse.core.resources.prefs"

_BUILDERS = (
    (f"{_CDT}.managedbuilder.core.genmakebuilder", "clean,full,incremental,"),
    (f"{_CDT}.managedbuilder.core.ScannerConfigBuilder", "full,incremental,"),
)
_NATURES = (
    "com.st.stm32cube.ide.mcu.MCUProjectNature",
    f"{_CDT}.core.cnature",
    "com.st.stm32cube.ide.mcu.MCUCubeIdeServicesRevAev2ProjectNature",
    "com.st.stm32cube.ide.mcu.MCUAdvancedStructureProjectNature",
    "com.st.stm32cube.ide.mcu.MCUSingleCpuProjectNature",
    "com.st.stm32cube.ide.mcu.MCURootProjectNature",
    f"{_CDT}.managedbuilder.core.managedBuildNature",
    f"{_CDT}.managedbuilder.core.ScannerConfigNature",
)


_CXX_NATURE = f"{_CDT}.core.ccnature"


def _natures(project: Project) -> list[str]:
    """In CubeIDE's order: C++ follows C."""
    after = _NATURES.index(f"{_CDT}.core.cnature") + 1
    added = [_CXX_NATURE] if project.has_cxx else []
    return [*_NATURES[:after], *added, *_NATURES[after:]]


def _project(project: Project) -> str:
    builders = [
        Element(
            "buildCommand",
            Element("name", text=name),
            Element("triggers", text=triggers),
            Element("arguments"),
        )
        for name, triggers in _BUILDERS
    ]
    root = Element(
        "projectDescription",
        Element("name", text=project.name),
        Element("comment"),
        Element("projects"),
        Element("buildSpec", *builders),
        Element("natures", *(Element("nature", text=nature) for nature in _natures(project))),
    )
    return document(root)


def _loaders(name: str) -> str:
    """The list of CubeProgrammer's loaders, as CubeIDE from 1.12 on keeps it; "" for none."""
    loader = {"fLoaderPath": name, "fInitialize": False, "fIsEnabled": True}
    return json.dumps([loader] if name else [], separators=(",", ":"))


def _launch_strings(
    project: Project, writer: ConfigurationWriter, elf: str, loader: str
) -> dict[str, str]:
    name = project.name
    item = {"fIsFromMainTab": True, "fPath": elf, "fProjectName": name, "fPerformBuild": True,
            "fDownload": True, "fLoadSymbols": True}  # fmt: skip
    return {
        f"{_LAUNCH}.access_port_id": "0",
        f"{_LAUNCH}.loadList": json.dumps({"fItems": [item]}, separators=(",", ":")),
        f"{_LAUNCH}.cubeprog_external_loaders": _loaders(loader),
        f"{_LAUNCH}.ip_address_local": "localhost",
        f"{_LAUNCH}.override_start_address_mode": "default",
        f"{_LAUNCH}.remoteCommand": "target remote",
        f"{_LAUNCH}.swv_port": "61235",
        f"{_LAUNCH}.swv_trace_hclk": str(project.board.clock.system_hz),
        f"{_STLINK}.low_power_debug": "enable",
        f"{_STLINK}.watchdog_config": "none",
        f"{_STLINK}.frequency": "0",
        f"{_STLINK}.reset_strategy": "connect_under_reset",
        f"{_CDT}.debug.gdbjtag.core.ipAddress": "localhost",
        f"{_CDT}.debug.gdbjtag.core.jtagDeviceId": _STLINK,
        f"{_CDT}.debug.gdbjtag.core.stopAt": "main",
        f"{_CDT}.dsf.gdb.DEBUG_NAME": "arm-none-eabi-gdb",
        f"{_CDT}.launch.DEBUGGER_START_MODE": "remote",
        f"{_CDT}.launch.PROGRAM_NAME": elf,
        f"{_CDT}.launch.PROJECT_ATTR": name,
        f"{_CDT}.launch.PROJECT_BUILD_CONFIG_ID_ATTR": writer.id,
        "process_factory_id": "com.st.stm32cube.ide.mcu.debug.launch.HardwareDebugProcessFactory",
    }


def _launch(project: Project, writer: ConfigurationWriter, configuration: Configuration) -> str:
    """A debug session through ST-LINK; the external loader only when weights are outside."""
    name = project.name
    loader = project.board.flash_tool.external_loader
    used = loader if loader and has_external_weights(project) else ""
    strings = _launch_strings(project, writer, f"{configuration.name}/{name}.elf", used)
    booleans = {
        f"{_LAUNCH}.enable_live_expr": True,
        f"{_LAUNCH}.enable_swv": False,
        f"{_LAUNCH}.startServer": True,
        f"{_LAUNCH}.startuptab.exception.divby0": True,
        f"{_LAUNCH}.startuptab.exception.unaligned": False,
        f"{_LAUNCH}.startuptab.haltonexception": True,
        f"{_LAUNCH}.swd_mode": True,
        f"{_LAUNCH}.useRemoteTarget": True,
        f"{_LAUNCH}.verify_flash_download": True,
        f"{_CDT}.debug.gdbjtag.core.setResume": True,
        f"{_CDT}.debug.gdbjtag.core.setStopAt": True,
        f"{_CDT}.launch.PROJECT_BUILD_CONFIG_AUTO_ATTR": False,
    }
    integers = {
        f"{_LAUNCH}.formatVersion": 2,
        f"{_CDT}.debug.gdbjtag.core.portNumber": 61234,
        f"{_CDT}.launch.ATTR_BUILD_BEFORE_LAUNCH_ATTR": 2,
    }
    root = Element(
        "launchConfiguration",
        *(Element("stringAttribute", key=k, value=v) for k, v in sorted(strings.items())),
        *(Element("booleanAttribute", key=k, value=str(v).lower()) for k, v in booleans.items()),
        *(Element("intAttribute", key=k, value=str(v)) for k, v in integers.items()),
        Element(
            "listAttribute",
            Element("listEntry", value=f"/{name}"),
            key="org.eclipse.debug.core.MAPPED_RESOURCE_PATHS",
        ),
        Element(
            "listAttribute",
            Element("listEntry", value="4"),
            key="org.eclipse.debug.core.MAPPED_RESOURCE_TYPES",
        ),
        type="com.st.stm32cube.ide.mcu.debug.launch.launchConfigurationType",
    )
    return document(root, standalone=True)


def _external_note(board: Board, project: Project) -> str:
    region = board.external_flash()
    if not has_external_weights(project) or region is None:
        return ""
    return (
        f"\nThe weights lie in the external flash at {region.base:#010x}. The launch "
        "configurations name its loader, so that a debug session programs both memories; each "
        f"build also writes `{project.name}_external.bin` for STM32CubeProgrammer.\n"
    )


def files(project: Project, use: MemoryUse | None) -> tuple[ProjectFile, ...]:
    """.project, .cproject, launch configurations and README.

    Raises:
      FirmwareError: the board is none that STM32CubeIDE knows.
    """
    if project.board.cube_ide is None:
        raise FirmwareError(
            f"STM32CubeIDE needs the part's name: give cube_ide_mcu in {project.board.manual} if "
            "the board has an STM32, or use --format=cmake"
        )
    writers = [ConfigurationWriter(project, configuration) for configuration in CONFIGURATIONS]
    board = project.board
    texts = [(".project", _project(project)), (".cproject", cproject(project, writers))]
    # Sources are UTF-8 (names of classes); Eclipse on Windows takes files for Cp1252 otherwise.
    texts.append((_RESOURCES, "eclipse.preferences.version=1\nencoding/<project>=UTF-8\n"))
    for writer, configuration in zip(writers, CONFIGURATIONS, strict=True):
        path = f"{project.name} {configuration.name}.launch"
        texts.append((path, _launch(project, writer, configuration)))
    readme = render(
        "stm32cubeide/README.md",
        NAME=project.name,
        TITLE=markdown_text(board.title),
        PART=markdown_text(board.part),
        MEGAHERTZ=str(board.clock.system_hz // 1_000_000),
        USE=use_section(project),
        EXTERNAL_NOTE=_external_note(board, project),
        MEMORY=memory_table(use),
    )
    texts.append(("README.md", readme))
    added = (ProjectFile(PurePosixPath(path), Group.FIRMWARE, text=text) for path, text in texts)
    return (*project.files, *added)
