# SPDX-License-Identifier: Apache-2.0
"""A library's description as a CMSIS-Pack (Open-CMSIS-Pack specification 1.7).

The folder with this file is a pack: the model is one component, and the kernels, which it requires,
another. Their paths among each other are those of the library, so both are in each pack.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from firmware.formats.library_common import describe
from firmware.formats.xml import Element, document
from firmware.library import Library
from firmware.library.library import INCLUDE
from firmware.project import Group
from tflm_vit.version import VERSION

VENDOR = "tflm-vit"
_SCHEMA = "1.7.27"  # the first that knows the compiler CLANG by that name
_CLASS = "Machine Learning"
_GROUP = "Transformer"
_CATEGORIES = {".c": "sourceC", ".S": "sourceAsm"}
# The assembly is GNU's, which these take; Arm's compiler of version 6 is an option of ARMCC's here.
_COMPILERS = (
    {"Tcompiler": "GCC"},
    {"Tcompiler": "CLANG"},
    {"Tcompiler": "ARMCC", "Toptions": "AC6"},
)


def name_of(library: Library) -> str:
    """The file's name."""
    return f"{VENDOR}.{library.name}.pdsc"


def description(library: Library) -> str:
    """The file; pack and components have the toolkit's version."""
    conditions = (
        Element(
            "condition",
            Element("description", text="A compiler that takes GNU assembly"),
            *(Element("accept", **compiler) for compiler in _COMPILERS),
            id="GNU assembly",
        ),
        Element(
            "condition",
            Element("description", text="The kernels of this version of the toolkit"),
            Element("require", condition="GNU assembly"),
            Element("require", Cclass=_CLASS, Cgroup=_GROUP, Csub=library.kernels),
            id=library.kernels,
        ),
    )
    model = _component(library, Group.MODEL, library.name, library.kernels)
    kernels = _component(library, Group.KERNEL, library.kernels, "GNU assembly")
    release = Element("release", text="As exported.", version=VERSION)
    root = Element(
        "package",
        Element("vendor", text=VENDOR),
        Element("name", text=library.name),
        Element("description", text=describe(library)),
        Element("url"),
        Element("releases", release),
        Element("conditions", *conditions),
        Element("components", model, kernels),
        **{
            "schemaVersion": _SCHEMA,
            "xmlns:xs": "http://www.w3.org/2001/XMLSchema-instance",
            "xs:noNamespaceSchemaLocation": "PACK.xsd",
        },
    )
    return document(root)


def _component(library: Library, group: Group, sub: str, condition: str) -> Element:
    files = []
    if group is Group.MODEL:
        files.append(Element("file", category="include", name=f"{INCLUDE}/"))
        headers = (file.path for file in library.files if file.path.parent == INCLUDE)
        files += [Element("file", category="header", name=str(path)) for path in headers]
        text = describe(library)
    else:
        text = "The operators of all models that one version of the toolkit exported."
    for path in library.sources(group):
        category = _CATEGORIES[PurePosixPath(path).suffix]
        files.append(Element("file", category=category, name=path))
    return Element(
        "component",
        Element("description", text=text),
        Element("files", *files),
        Cclass=_CLASS,
        Cgroup=_GROUP,
        Csub=sub,
        Cversion=VERSION,
        condition=condition,
    )
