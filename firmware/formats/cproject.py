# SPDX-License-Identifier: Apache-2.0
"""`.cproject` of an STM32CubeIDE executable with a Debug and a Release configuration.

A project with C++ (the TFLM runtime) has the C++ compiler and linker tools beside those of C, and
the nature `ccnature` in `.project`, which makes CubeIDE link with the C++ one.
"""

from __future__ import annotations

import dataclasses
import zlib

from firmware.formats.common import has_external_weights
from firmware.formats.xml import Element, document
from firmware.project import INCLUDE_DIRECTORIES, LINKER_SCRIPT, Project

_P = "com.st.stm32cube.ide.mcu.gnu.managedbuild"
_CDT = "org.eclipse.cdt"
_SOURCE_FOLDERS = ("kernels", "model", "src")
_CXX_SOURCE_FOLDER = "tflm"
# CubeIDE has options of their own for these.
_OWN_OPTIONS = ("-ffunction-sections", "-fdata-sections", "-g")
_LINKER_OWN_OPTIONS = ("-Wl,--gc-sections", "-Wl,--fatal-warnings")

_ERROR_PARSERS = (
    "GASErrorParser",
    "GmakeErrorParser",
    "GLDErrorParser",
    "CWDLocator",
    "GCCErrorParser",
)
_OUTPUT_TOOLS = (
    ("archiver", "MCU GCC Archiver"),
    ("size", "MCU Size"),
    ("objdump.listfile", "MCU Output Converter list file"),
    ("objcopy.hex", "MCU Output Converter Hex"),
    ("objcopy.binary", "MCU Output Converter Binary"),
    ("objcopy.verilog", "MCU Output Converter Verilog"),
    ("objcopy.srec", "MCU Output Converter Motorola S-rec"),
    ("objcopy.symbolsrec", "MCU Output Converter Motorola S-rec with symbols"),
)


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A build configuration: its name and the values of CubeIDE's enumerated options."""

    name: str
    optimization: str
    debug_level: str

    @property
    def key(self) -> str:
        """`debug` or `release`, as in CubeIDE's identifiers."""
        return self.name.lower()


CONFIGURATIONS = (Configuration("Debug", "og", "g3"), Configuration("Release", "o3", "g0"))


class _Identifiers:
    """Identifiers end in a number that is unique in the project, and the same in every export."""

    def __init__(self, project: str, scope: str) -> None:
        self._seed = f"{project}/{scope}"
        self._count = 0

    def next(self, superclass: str) -> str:
        """`superclass.<number>`."""
        self._count += 1
        number = zlib.crc32(f"{self._seed}/{superclass}/{self._count}".encode()) | 1 << 31
        return f"{superclass}.{number}"


class ConfigurationWriter:
    """Builds the <cconfiguration> of one configuration; its `id` names it in other files."""

    def __init__(self, project: Project, configuration: Configuration) -> None:
        self._project = project
        self._configuration = configuration
        self._ids = _Identifiers(project.name, configuration.name)
        self.id = self._ids.next(f"{_P}.config.exe.{configuration.key}")
        #: (tool, input) identifiers of the compilers, filled by `element`.
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

    def _tool(self, suffix: str, name: str, *children: Element) -> Element:
        superclass = f"{_P}.tool.{suffix}"
        return Element(
            "tool", *children, id=self._ids.next(superclass), name=name, superClass=superclass
        )

    def _input(self, superclass: str) -> Element:
        return Element("inputType", id=self._ids.next(superclass), superClass=superclass)

    def _includes(self, tool: str) -> Element:
        directories = (*INCLUDE_DIRECTORIES, *self._project.extra_includes)
        paths = [f"../{directory}" for directory in directories]
        return self._list(
            f"{_P}.tool.{tool}.option.includepaths", "Include paths (-I)", "includePath", paths
        )

    def _target_options(self) -> list[Element]:
        board = self._project.board
        core = board.core
        names = board.cube_ide
        assert names is not None  # stm32cubeide.files has refused.
        plain = (
            ("target_mcu", "MCU", names.mcu),
            ("target_cpuid", "CPU", "0"),
            ("target_coreid", "Core", "0"),
            ("target_board", "Board", names.board),
        )
        options = [
            self._option(f"{_P}.option.{key}", name, value, "string", scanner=key == "target_mcu")
            for key, name, value in plain
        ]
        abi = "hard" if core.fpu else "soft"
        options.append(
            self._enumerated(f"{_P}.option.fpu", "Floating-point unit", core.fpu or "none")
        )
        options.append(self._enumerated(f"{_P}.option.floatabi", "Floating-point ABI", abi))
        runtime = f"{_P}.option.runtimelibrary_c"
        options.append(self._enumerated(runtime, "Runtime library", "nano_c"))
        binary = f"{_P}.option.convertbinary"
        label = "Convert to binary file (-O binary)"
        options.append(self._option(binary, label, "true", "boolean"))
        clock = "com.st.stm32cube.ide.mcu.debug.option.cpuclock"
        megahertz = str(board.clock.system_hz // 1_000_000)
        options.append(self._option(clock, "Cpu clock frequence", megahertz, "string"))
        return options

    def _assembler(self) -> Element:
        tool = f"{_P}.tool.assembler"
        level = self._configuration.debug_level
        return self._tool(
            "assembler",
            "MCU GCC Assembler",
            self._enumerated(f"{tool}.option.debuglevel", "Debug level", level),
            self._includes("assembler"),
            self._input(f"{tool}.input"),
        )

    def _other_flags(self) -> list[str]:
        flags = self._project.flags
        others = [flag for flag in (*flags.common, *flags.warnings) if flag not in _OWN_OPTIONS]
        return others + [f"-D{define}" for define in self._project.defines]

    def _compiler_options(self, suffix: str) -> list[Element]:
        """What the compilers have in common; `suffix` is c.compiler or cpp.compiler."""
        tool = f"{_P}.tool.{suffix}"
        return [
            self._enumerated(
                f"{tool}.option.debuglevel", "Debug level", self._configuration.debug_level
            ),
            self._enumerated(
                f"{tool}.option.optimization.level",
                "Optimization level",
                self._configuration.optimization,
            ),
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

    def _compiler(self) -> Element:
        tool = f"{_P}.tool.c.compiler"
        source = self._input(f"{tool}.input.c")
        standard = "iso" + self._project.flags.c_standard.removeprefix("-std=")
        element = self._tool(
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

    def _cxx_compiler(self) -> Element:
        """Its language standard is among the other flags: CubeIDE's names for it are not known."""
        tool = f"{_P}.tool.cpp.compiler"
        source = self._input(f"{tool}.input.cpp")
        # Not an include path: TFLM's headers give warnings, and warnings are errors.
        system = [f"-isystem../{directory}" for directory in self._project.system_includes]
        others = [*self._other_flags(), *self._project.flags.cxx, *system]
        element = self._tool(
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

    def _linkers(self) -> list[Element]:
        """With C++ CubeIDE links with the C++ linker, and has the C one unused."""
        if not self._project.has_cxx:
            return [self._linker("c.linker", "MCU GCC Linker")]
        return [
            self._tool("c.linker", "MCU GCC Linker"),
            self._linker("cpp.linker", "MCU G++ Linker"),
        ]

    def _linker(self, suffix: str, name: str) -> Element:
        tool = f"{_P}.tool.{suffix}"
        script = f"${{workspace_loc:/${{ProjName}}/{LINKER_SCRIPT}}}"
        others = [f for f in self._project.flags.link if f not in _LINKER_OWN_OPTIONS]
        source = f"{tool}.input"
        return self._tool(
            suffix,
            name,
            self._option(f"{tool}.option.script", "Linker Script (-T)", script, "string"),
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

    def _tool_chain(self) -> Element:
        key = self._configuration.key
        superclass = f"{_P}.toolchain.exe.{key}"
        platform, builder = f"{_P}.targetplatform", f"{_P}.builder"
        build_path = f"${{workspace_loc:/{self._project.name}}}/{self._configuration.name}"
        return Element(
            "toolChain",
            *self._target_options(),
            Element(
                "targetPlatform",
                archList="all",
                binaryParser=f"{_CDT}.core.ELF",
                id=self._ids.next(platform),
                isAbstract="false",
                osList="all",
                superClass=platform,
            ),
            Element(
                "builder",
                buildPath=build_path,
                id=self._ids.next(builder),
                keepEnvironmentInBuildfile="false",
                managedBuildOn="true",
                name="Gnu Make Builder",
                parallelBuildOn="true",
                parallelizationNumber="optimal",
                superClass=builder,
            ),
            self._assembler(),
            self._compiler(),
            *((self._cxx_compiler(),) if self._project.has_cxx else ()),
            *self._linkers(),
            *(self._tool(suffix, name) for suffix, name in _OUTPUT_TOOLS),
            id=self._ids.next(superclass),
            name="MCU ARM GCC",
            superClass=superclass,
        )

    def _source_folders(self) -> list[str]:
        added = [_CXX_SOURCE_FOLDER] if self._project.has_cxx else []
        return sorted([*_SOURCE_FOLDERS, *added])

    def _build(self) -> Element:
        key, name = self._configuration.key, self._configuration.name
        artefact = f"{_CDT}.build.core.buildArtefactType"
        build_type = f"{_CDT}.build.core.buildType"
        attributes = {
            "artifactExtension": "elf",
            "artifactName": "${ProjName}",
            "buildArtefactType": f"{artefact}.exe",
            "buildProperties": f"{artefact}={artefact}.exe,{build_type}={build_type}.{key}",
            "cleanCommand": "rm -rf",
            "description": "",
            "id": self.id,
            "name": name,
            "parent": f"{_P}.config.exe.{key}",
        }
        if has_external_weights(self._project):
            attributes["postbuildStep"] = (
                "arm-none-eabi-objcopy -O binary -j .extflash ${BuildArtifactFileName} "
                "${BuildArtifactFileBaseName}_external.bin"
            )
        return Element(
            "storageModule",
            Element(
                "configuration",
                Element(
                    "folderInfo",
                    self._tool_chain(),
                    id=f"{self.id}.",
                    name="/",
                    resourcePath="",
                ),
                Element(
                    "sourceEntries",
                    *(
                        Element(
                            "entry",
                            flags="VALUE_WORKSPACE_PATH|RESOLVED",
                            kind="sourcePath",
                            name=folder,
                        )
                        for folder in self._source_folders()
                    ),
                ),
                **attributes,
            ),
            moduleId="cdtBuildSystem",
            version="4.0.0",
        )

    def element(self) -> Element:
        """The whole configuration."""
        extensions = [
            Element("extension", id=f"{_CDT}.core.ELF", point=f"{_CDT}.core.BinaryParser"),
            *(
                Element("extension", id=f"{_CDT}.core.{parser}", point=f"{_CDT}.core.ErrorParser")
                for parser in _ERROR_PARSERS
            ),
        ]
        settings = Element(
            "storageModule",
            Element("externalSettings"),
            Element("extensions", *extensions),
            buildSystemId=f"{_CDT}.managedbuilder.core.configurationDataProvider",
            id=self.id,
            moduleId=f"{_CDT}.core.settings",
            name=self._configuration.name,
        )
        return Element(
            "cconfiguration",
            settings,
            self._build(),
            Element("storageModule", moduleId=f"{_CDT}.core.externalSettings"),
            id=self.id,
        )


def cproject(project: Project, writers: list[ConfigurationWriter]) -> str:
    """The whole file."""
    configurations = [writer.element() for writer in writers]
    scanners = [
        Element(
            "scannerConfigBuildInfo",
            Element(
                "autodiscovery",
                enabled="false",
                problemReportingEnabled="true",
                selectedProfileId="",
            ),
            instanceId=f"{w.id};{w.id}.;{tool};{source}",
        )
        for w in writers
        for tool, source in w.compilers
    ]
    identifier = _Identifiers(project.name, "project").next(f"{project.name}.null")
    root = Element(
        "cproject",
        Element("storageModule", *configurations, moduleId=f"{_CDT}.core.settings"),
        Element("storageModule", moduleId=f"{_CDT}.core.pathentry"),
        Element(
            "storageModule",
            Element("project", id=identifier, name=project.name),
            moduleId="cdtBuildSystem",
            version="4.0.0",
        ),
        Element("storageModule", moduleId=f"{_CDT}.core.LanguageSettingsProviders"),
        Element(
            "storageModule",
            Element(
                "autodiscovery",
                enabled="false",
                problemReportingEnabled="true",
                selectedProfileId="",
            ),
            *scanners,
            moduleId="scannerConfiguration",
        ),
        Element(
            "storageModule",
            *(
                Element(
                    "configuration",
                    Element("resource", resourceType="PROJECT", workspacePath=f"/{project.name}"),
                    configurationName=configuration.name,
                )
                for configuration in CONFIGURATIONS
            ),
            moduleId="refreshScope",
            versionNumber="2",
        ),
        storage_type_id=f"{_CDT}.core.XmlProjectDescriptionStorage",
    )
    return document(root, "<?fileVersion 4.0.0?>", standalone=True)
