# SPDX-License-Identifier: Apache-2.0
"""The tools in an STM32CubeIDE configuration: compilers, assembler, linkers and their options."""

from __future__ import annotations

import dataclasses
import zlib

from firmware.formats.xml import Element
from firmware.project import INCLUDE_DIRECTORIES, LINKER_SCRIPT, Project

PLUGIN = "com.st.stm32cube.ide.mcu.gnu.managedbuild"
LINKER_PLACE = f"${{workspace_loc:/${{ProjName}}/{LINKER_SCRIPT}}}"
_SOURCE_FOLDERS = ("kernels", "model", "src")
_CXX_SOURCE_FOLDER = "tflm"
# CubeIDE has options of their own for these.
_OWN_OPTIONS = ("-ffunction-sections", "-fdata-sections", "-g")
_LINKER_OWN_OPTIONS = ("-Wl,--gc-sections", "-Wl,--fatal-warnings")


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A build configuration: its name and the values of CubeIDE's enumerated options."""

    name: str
    optimization: str
    debug_level: str
    defines: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`debug` or `release`, as in CubeIDE's identifiers."""
        return self.name.lower()


CONFIGURATIONS = (
    Configuration("Debug", "og", "g3", ("DEBUG",)),
    Configuration("Release", "o3", "g0"),
)
# The form of `option.defaults`, from which CubeIDE takes the values of a setting that is reset.
_DEFAULTS_FORM = "com.st.stm32cube.ide.common.services.build.inputs.revA.1.0.6"


def source_folders(project: Project) -> list[str]:
    """Folders that CubeIDE compiles, sorted."""
    added = [_CXX_SOURCE_FOLDER] if project.has_cxx else []
    return sorted([*_SOURCE_FOLDERS, *added])


class Identifiers:
    """Identifiers end in a number that is unique in the project, and the same in every export."""

    def __init__(self, project: str, scope: str) -> None:
        self._seed = f"{project}/{scope}"
        self._count = 0

    def next(self, superclass: str) -> str:
        """`superclass.<number>`."""
        self._count += 1
        number = zlib.crc32(f"{self._seed}/{superclass}/{self._count}".encode()) | 1 << 31
        return f"{superclass}.{number}"


class ToolWriter:
    """Builds the <tool> elements of one configuration."""

    def __init__(self, project: Project, configuration: Configuration, ids: Identifiers) -> None:
        self._project = project
        self._configuration = configuration
        self._ids = ids
        #: (tool, input) identifiers of the compilers, filled as they are built.
        self.compilers: list[tuple[str, str]] = []

    def _option(
        self, superclass: str, name: str, value: str, kind: str, scanner: bool = False
    ) -> Element:
        return Element(
            "option",
            id=self._ids.next(superclass),
            name=name,
            superClass=superclass,
            useByScannerDiscovery=str(scanner).lower(),
            value=value,
            valueType=kind,
        )

    def _list(self, superclass: str, name: str, kind: str, values: list[str]) -> Element:
        return Element(
            "option",
            *(Element("listOptionValue", builtIn="false", value=value) for value in values),
            IS_BUILTIN_EMPTY="false",
            IS_VALUE_EMPTY=str(not values).lower(),
            id=self._ids.next(superclass),
            name=name,
            superClass=superclass,
            useByScannerDiscovery="false",
            valueType=kind,
        )

    def _enumerated(self, superclass: str, name: str, value: str) -> Element:
        return self._option(superclass, name, f"{superclass}.value.{value}", "enumerated")

    def tool(self, suffix: str, name: str, *children: Element) -> Element:
        """A <tool> of the tool chain."""
        superclass = f"{PLUGIN}.tool.{suffix}"
        return Element(
            "tool", *children, id=self._ids.next(superclass), name=name, superClass=superclass
        )

    def _input(self, superclass: str) -> Element:
        return Element("inputType", id=self._ids.next(superclass), superClass=superclass)

    def _includes(self, tool: str) -> Element:
        directories = (*INCLUDE_DIRECTORIES, *self._project.extra_includes)
        paths = [f"../{directory}" for directory in directories]
        return self._list(
            f"{PLUGIN}.tool.{tool}.option.includepaths", "Include paths (-I)", "includePath", paths
        )

    def target_options(self) -> list[Element]:
        """Options of the tool chain: the chip, and what follows from it."""
        board = self._project.board
        core = board.core
        names = board.cube_ide
        assert names is not None  # stm32cubeide.files has refused.
        plain = (
            ("target_mcu", "MCU", names.mcu),
            ("target_cpuid", "CPU", "0"),
            ("target_coreid", "Core", "0"),
            ("target_board", "Board", names.board),
            ("defaults", "Defaults", self._defaults(names.board)),
        )
        options = [
            self._option(
                f"{PLUGIN}.option.{key}", name, value, "string", scanner=key == "target_mcu"
            )
            for key, name, value in plain
        ]
        abi = "hard" if core.fpu else "soft"
        options.append(
            self._enumerated(f"{PLUGIN}.option.fpu", "Floating-point unit", core.fpu or "none")
        )
        options.append(self._enumerated(f"{PLUGIN}.option.floatabi", "Floating-point ABI", abi))
        runtime = f"{PLUGIN}.option.runtimelibrary_c"
        options.append(self._enumerated(runtime, "Runtime library", "nano_c"))
        binary = f"{PLUGIN}.option.convertbinary"
        label = "Convert to binary file (-O binary)"
        options.append(self._option(binary, label, "true", "boolean"))
        clock = "com.st.stm32cube.ide.mcu.debug.option.cpuclock"
        megahertz = str(board.clock.system_hz // 1_000_000)
        options.append(self._option(clock, "Cpu clock frequence", megahertz, "string"))
        return options

    def _defaults(self, board: str) -> str:
        """As CubeIDE writes it: fields between two bars, lists of values between one.

        DEBUG is not among the symbols: it belongs to the configuration.
        """
        project = self._project
        includes = " | ".join(f"../{d}" for d in (*INCLUDE_DIRECTORIES, *project.extra_includes))
        fields = (
            _DEFAULTS_FORM, self._configuration.name, "true", "Executable",
            f"{PLUGIN}.option.toolchain.value.workspace", board, "0", "0", "arm-none-eabi-",
            "${gnu_tools_for_stm32_compiler_path}", includes, "", "", " | ".join(project.defines),
            "", " | ".join(source_folders(project)), "", "", LINKER_PLACE, "true", "NonSecure", "",
            "secure_nsclib.o", "", "None", "", "", "",
        )  # fmt: skip
        return " || ".join(fields)

    def _symbols(self) -> list[str]:
        return [*self._configuration.defines, *self._project.defines]

    def _defined(self, tool: str) -> list[Element]:
        """What is defined for a tool; an empty list is left out, as CubeIDE does."""
        superclass = f"{PLUGIN}.tool.{tool}.option.definedsymbols"
        symbols = self._symbols()
        if not symbols:
            return []
        return [self._list(superclass, "Define symbols (-D)", "definedSymbols", symbols)]

    def assembler(self) -> Element:
        """The assembler."""
        tool = f"{PLUGIN}.tool.assembler"
        level = self._configuration.debug_level
        return self.tool(
            "assembler",
            "MCU GCC Assembler",
            self._enumerated(f"{tool}.option.debuglevel", "Debug level", level),
            *self._defined("assembler"),
            self._includes("assembler"),
            self._input(f"{tool}.input"),
        )

    def _other_flags(self) -> list[str]:
        flags = self._project.flags
        return [flag for flag in (*flags.common, *flags.warnings) if flag not in _OWN_OPTIONS]

    def _compiler_options(self, suffix: str) -> list[Element]:
        """What the compilers have in common; `suffix` is c.compiler or cpp.compiler."""
        tool = f"{PLUGIN}.tool.{suffix}"
        return [
            self._enumerated(
                f"{tool}.option.debuglevel", "Debug level", self._configuration.debug_level
            ),
            self._enumerated(
                f"{tool}.option.optimization.level",
                "Optimization level",
                self._configuration.optimization,
            ),
            *self._defined(suffix),
            self._includes(suffix),
            self._option(
                f"{tool}.option.ffunction",
                "Place functions in their own sections (-ffunction-sections)",
                "true",
                "boolean",
            ),
            self._option(
                f"{tool}.option.fdata",
                "Place data in their own sections (-fdata-sections)",
                "true",
                "boolean",
            ),
        ]

    def compiler(self) -> Element:
        """The C compiler."""
        tool = f"{PLUGIN}.tool.c.compiler"
        source = self._input(f"{tool}.input.c")
        standard = "iso" + self._project.flags.c_standard.removeprefix("-std=")
        element = self.tool(
            "c.compiler",
            "MCU GCC Compiler",
            *self._compiler_options("c.compiler"),
            self._enumerated(f"{tool}.option.languagestandard", "Language standard", standard),
            self._list(
                f"{tool}.option.otherflags", "Other flags", "stringList", self._other_flags()
            ),
            source,
        )
        self.compilers.append((element.attributes["id"], source.attributes["id"]))
        return element

    def cxx_compiler(self) -> Element:
        """Its language standard is among the other flags: CubeIDE's names for it are not known.

        A project of C alone has the tool with its levels, for the day that C++ is added.
        """
        tool = f"{PLUGIN}.tool.cpp.compiler"
        if not self._project.has_cxx:
            level, optimization = self._configuration.debug_level, self._configuration.optimization
            return self.tool(
                "cpp.compiler",
                "MCU G++ Compiler",
                self._enumerated(f"{tool}.option.debuglevel", "Debug level", level),
                self._enumerated(
                    f"{tool}.option.optimization.level", "Optimization level", optimization
                ),
            )
        source = self._input(f"{tool}.input.cpp")
        # Not an include path: TFLM's headers give warnings, and warnings are errors.
        system = [f"-isystem../{directory}" for directory in self._project.system_includes]
        others = [*self._other_flags(), *self._project.flags.cxx, *system]
        element = self.tool(
            "cpp.compiler",
            "MCU G++ Compiler",
            *self._compiler_options("cpp.compiler"),
            self._list(f"{tool}.option.otherflags", "Other flags", "stringList", others),
            source,
        )
        self.compilers.append((element.attributes["id"], source.attributes["id"]))
        return element

    def _archive_options(self, tool: str) -> list[Element]:
        archives = self._project.archives
        folders = [f"../{folder}" for folder in sorted({str(a.parent) for a in archives})]
        names = [f":{archive.name}" for archive in archives]
        return [
            self._list(f"{tool}.option.libraries", "Libraries (-l)", "libs", names),
            self._list(
                f"{tool}.option.directories", "Library search path (-L)", "libPaths", folders
            ),
        ]

    def linkers(self) -> list[Element]:
        """With C++ CubeIDE links with the C++ linker, and has the C one unused."""
        if not self._project.has_cxx:
            return [
                self._linker("c.linker", "MCU GCC Linker"),
                self.tool("cpp.linker", "MCU G++ Linker"),
            ]
        return [
            self.tool("c.linker", "MCU GCC Linker"),
            self._linker("cpp.linker", "MCU G++ Linker"),
        ]

    def _linker(self, suffix: str, name: str) -> Element:
        tool = f"{PLUGIN}.tool.{suffix}"
        others = [f for f in self._project.flags.link if f not in _LINKER_OWN_OPTIONS]
        source = f"{tool}.input"
        return self.tool(
            suffix,
            name,
            self._option(f"{tool}.option.script", "Linker Script (-T)", LINKER_PLACE, "string"),
            self._option(
                f"{tool}.option.gcsections",
                "Discard unused sections (-Wl,--gc-sections)",
                "true",
                "boolean",
            ),
            self._list(f"{tool}.option.otherflags", "Other flags", "stringList", others),
            *(self._archive_options(tool) if self._project.archives else ()),
            Element(
                "inputType",
                Element("additionalInput", kind="additionalinputdependency", paths="$(USER_OBJS)"),
                Element("additionalInput", kind="additionalinput", paths="$(LIBS)"),
                id=self._ids.next(source),
                superClass=source,
            ),
        )
