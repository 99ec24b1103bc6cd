# SPDX-License-Identifier: Apache-2.0
"""`.cproject` of an STM32CubeIDE executable with a Debug and a Release configuration.

The C++ compiler and linker are beside those of C, as in ST's projects; one with C++ in it (the TFLM
runtime) has the nature `ccnature` in `.project` as well, which makes CubeIDE link with the C++ one.
"""

from __future__ import annotations

from firmware.formats.common import has_external_weights
from firmware.formats.cproject_tools import (
    CONFIGURATIONS,
    PLUGIN,
    Configuration,
    Identifiers,
    ToolWriter,
    source_folders,
)
from firmware.formats.xml import Element, document
from firmware.project import Project

_CDT = "org.eclipse.cdt"
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


class ConfigurationWriter:
    """Builds the <cconfiguration> of one configuration; its `id` names it in other files."""

    def __init__(self, project: Project, configuration: Configuration) -> None:
        self._project = project
        self._configuration = configuration
        self._ids = Identifiers(project.name, configuration.name)
        self.id = self._ids.next(f"{PLUGIN}.config.exe.{configuration.key}")
        self._tools = ToolWriter(project, configuration, self._ids)

    @property
    def compilers(self) -> list[tuple[str, str]]:
        """(tool, input) identifiers of the compilers; filled by `element`."""
        return self._tools.compilers

    def _tool_chain(self) -> Element:
        key = self._configuration.key
        superclass = f"{PLUGIN}.toolchain.exe.{key}"
        platform, builder = f"{PLUGIN}.targetplatform", f"{PLUGIN}.builder"
        build_path = f"${{workspace_loc:/{self._project.name}}}/{self._configuration.name}"
        return Element(
            "toolChain",
            *self._tools.target_options(),
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
            self._tools.assembler(),
            self._tools.compiler(),
            self._tools.cxx_compiler(),
            *self._tools.linkers(),
            *(self._tools.tool(suffix, name) for suffix, name in _OUTPUT_TOOLS),
            id=self._ids.next(superclass),
            name="MCU ARM GCC",
            superClass=superclass,
        )

    def _build_attributes(self) -> dict[str, str]:
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
            "parent": f"{PLUGIN}.config.exe.{key}",
        }
        if has_external_weights(self._project):
            attributes["postbuildStep"] = (
                "arm-none-eabi-objcopy -O binary -j .extflash ${BuildArtifactFileName} "
                "${BuildArtifactFileBaseName}_external.bin"
            )
        return attributes

    def _build(self) -> Element:
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
                        for folder in source_folders(self._project)
                    ),
                ),
                **self._build_attributes(),
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


def _autodiscovery() -> Element:
    return Element(
        "autodiscovery", enabled="false", problemReportingEnabled="true", selectedProfileId=""
    )


def _refreshed(project: Project) -> list[Element]:
    return [
        Element(
            "configuration",
            Element("resource", resourceType="PROJECT", workspacePath=f"/{project.name}"),
            configurationName=configuration.name,
        )
        for configuration in CONFIGURATIONS
    ]


def cproject(project: Project, writers: list[ConfigurationWriter]) -> str:
    """The whole file."""
    configurations = [writer.element() for writer in writers]
    scanners = [
        Element(
            "scannerConfigBuildInfo", _autodiscovery(), instanceId=f"{w.id};{w.id}.;{tool};{source}"
        )
        for w in writers
        for tool, source in w.compilers
    ]
    identifier = Identifiers(project.name, "project").next(f"{project.name}.null")

    def module(name: str, *children: Element, **attributes: str) -> Element:
        return Element("storageModule", *children, moduleId=name, **attributes)

    described = Element("project", id=identifier, name=project.name)
    root = Element(
        "cproject",
        module(f"{_CDT}.core.settings", *configurations),
        module(f"{_CDT}.core.pathentry"),
        module("cdtBuildSystem", described, version="4.0.0"),
        module(f"{_CDT}.core.LanguageSettingsProviders"),
        module("scannerConfiguration", _autodiscovery(), *scanners),
        module("refreshScope", *_refreshed(project), versionNumber="2"),
        storage_type_id=f"{_CDT}.core.XmlProjectDescriptionStorage",
    )
    return document(root, "<?fileVersion 4.0.0?>", standalone=True)
