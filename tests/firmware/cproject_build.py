# SPDX-License-Identifier: Apache-2.0
"""Builds an STM32CubeIDE project from its .cproject alone, with CubeIDE's command lines.

Sources, include paths, defines, optimisation, core options and linker script all come from the XML;
what the XML does not say is CubeIDE's own default (nano.specs, -mthumb, one object per stem).
"""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

P = "com.st.stm32cube.ide.mcu.gnu.managedbuild"
# CubeIDE derives -mcpu from its database of parts.
CPU_OF_MCU_PREFIX = {"STM32F4": "cortex-m4", "STM32F7": "cortex-m7", "STM32H7": "cortex-m7"}


class Configuration:
    """What one <cconfiguration> says."""

    def __init__(self, root: ET.Element, name: str) -> None:
        (self.element,) = [
            c for c in root.iter("cconfiguration") if c.find("storageModule").get("name") == name
        ]
        self.configuration = self.element.find(".//configuration")

    def _find(self, superclass: str) -> ET.Element:
        (option,) = [
            o for o in self.element.iter("option") if o.get("superClass") == f"{P}.{superclass}"
        ]
        return option

    def value(self, superclass: str) -> str:
        """A plain value."""
        return self._find(superclass).get("value")

    def enumerated(self, superclass: str) -> str:
        """The last part of an enumerated value, after checking its beginning."""
        value = self.value(superclass)
        prefix = f"{P}.{superclass}.value."
        assert value.startswith(prefix), value
        return value.removeprefix(prefix)

    def values(self, superclass: str) -> list[str]:
        """A list value."""
        return [v.get("value") for v in self._find(superclass).iter("listOptionValue")]

    def defines(self, tool: str) -> list[str]:
        """-D of a tool; the list is not there where it is empty."""
        wanted = f"{P}.{tool}.option.definedsymbols"
        found = [o for o in self.element.iter("option") if o.get("superClass") == wanted]
        return [f"-D{v.get('value')}" for o in found for v in o.iter("listOptionValue")]

    def source_folders(self) -> list[str]:
        """Folders that are compiled."""
        return [e.get("name") for e in self.element.iter("entry") if e.get("kind") == "sourcePath"]

    def core_flags(self) -> list[str]:
        """-mcpu and friends, as CubeIDE makes them from part, FPU and ABI."""
        cpu = CPU_OF_MCU_PREFIX[self.value("option.target_mcu")[:7]]
        return [
            f"-mcpu={cpu}",
            f"-mfpu={self.enumerated('option.fpu')}",
            f"-mfloat-abi={self.enumerated('option.floatabi')}",
            "-mthumb",
        ]


def _run(command: list[str], folder: Path) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, " ".join(command) + "\n" + result.stderr


def _flags(configuration: Configuration, tool: str) -> list[str]:
    """What the C and the C++ compiler have in common."""
    return [
        f"-{configuration.enumerated(f'{tool}.option.debuglevel')}",
        f"-O{configuration.enumerated(f'{tool}.option.optimization.level')[1:]}",
        *configuration.defines(tool),
        *(f"-I{path}" for path in configuration.values(f"{tool}.option.includepaths")),
        *configuration.values(f"{tool}.option.otherflags"),
    ]


def build(project: Path, name: str) -> Path:
    """Builds configuration `name` in `project`/`name`; returns the ELF."""
    root = ET.parse(project / ".cproject").getroot()
    title = ET.parse(project / ".project").getroot().findtext("name")
    configuration = Configuration(root, name)
    folder = project / name
    folder.mkdir()
    compiler, assembler, linker = "tool.c.compiler", "tool.assembler", "tool.c.linker"
    specs = {"nano_c": ["--specs=nano.specs"]}[configuration.enumerated("option.runtimelibrary_c")]
    core = configuration.core_flags()
    sections = [
        flag
        for option, flag in (("ffunction", "-ffunction-sections"), ("fdata", "-fdata-sections"))
        if configuration.value(f"{compiler}.option.{option}") == "true"
    ]
    standard = configuration.enumerated(f"{compiler}.option.languagestandard")
    c_flags = [f"-std={standard.removeprefix('iso')}", *_flags(configuration, compiler)]
    commands = {".c": ("gcc", [*c_flags, *sections])}
    natures = [e.text for e in ET.parse(project / ".project").getroot().iter("nature")]
    if "org.eclipse.cdt.core.ccnature" in natures:
        # CubeIDE's defaults come first; the project's own flags follow and win.
        defaults = ["-std=gnu++14", "-fno-exceptions", "-fno-rtti", "-fno-use-cxa-atexit"]
        cxx_flags = [*defaults, *sections, *_flags(configuration, "tool.cpp.compiler")]
        commands[".cc"] = ("g++", cxx_flags)
        linker = "tool.cpp.linker"
    s_flags = [
        f"-{configuration.enumerated(f'{assembler}.option.debuglevel')}",
        "-x",
        "assembler-with-cpp",
        *configuration.defines(assembler),
        *(f"-I{path}" for path in configuration.values(f"{assembler}.option.includepaths")),
    ]
    objects: list[str] = []
    for source_folder in configuration.source_folders():
        for source in sorted((project / source_folder).rglob("*")):
            if source.suffix not in (*commands, ".s", ".S"):
                assert source.suffix != ".cc", "C++ in a project without its nature"
                continue
            relative = source.relative_to(project)
            target = str(relative.with_suffix(".o"))
            assert target not in objects, f"two sources make {target}"
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            driver, flags = commands.get(source.suffix, ("gcc", s_flags))
            command = [f"arm-none-eabi-{driver}", *core, *flags, *specs, "-c", f"../{relative}"]
            _run([*command, "-o", target], folder)
            objects.append(target)
    script = configuration.value(f"{linker}.option.script")
    script = script.replace("${workspace_loc:/${ProjName}", "..").rstrip("}")
    gc = ["-Wl,--gc-sections"] * (configuration.value(f"{linker}.option.gcsections") == "true")
    elf = f"{title}.elf"
    driver = "g++" if ".cc" in commands else "gcc"
    libraries, paths = [], []
    if driver == "g++":
        libraries = [f"-l{name}" for name in configuration.values(f"{linker}.option.libraries")]
        paths = [f"-L{path}" for path in configuration.values(f"{linker}.option.directories")]
    command = [f"arm-none-eabi-{driver}", "-o", elf, *objects, *libraries, *core, f"-T{script}"]
    command += ["--specs=nosys.specs", f"-Wl,-Map={title}.map", *gc, "-static", *paths, *specs]
    command += configuration.values(f"{linker}.option.otherflags")
    standard_libraries = ["-lc", "-lm", *(["-lstdc++", "-lsupc++"] if driver == "g++" else [])]
    _run([*command, "-Wl,--start-group", *standard_libraries, "-Wl,--end-group"], folder)
    step = configuration.configuration.get("postbuildStep")
    if step:
        step = step.replace("${BuildArtifactFileName}", elf)
        _run(step.replace("${BuildArtifactFileBaseName}", title).split(), folder)
    return folder / elf
