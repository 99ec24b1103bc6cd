# SPDX-License-Identifier: Apache-2.0
"""What each ecosystem's tool would build of an exported folder: read from its own manifests."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import yaml

# What Arduino's own header would declare, for a sketch that runs on the host.
ARDUINO_H = """\
#pragma once
#include <cstdint>
#include <iostream>
struct Printer {
  void begin(long) {}
  template <typename T> void print(T value) { std::cout << value; }
  template <typename T> void println(T value) { std::cout << value << std::endl; }
};
static Printer Serial;
static inline unsigned long micros() { return 0; }
static inline void delay(int) {}
"""


@dataclasses.dataclass(frozen=True)
class Build:
    """Sources with the flags of each, and where the user's code finds headers."""

    sources: dict[Path, tuple[str, ...]]
    includes: tuple[Path, ...]


def cmake_calls(
    lists: Path, functions: tuple[str, ...], **variables: str
) -> list[tuple[str, list[str]]]:
    """Which of the functions a file of CMake calls, with their arguments; CMake reads it."""
    head = "".join(f"set({name} [==[{value}]==])\n" for name, value in variables.items())
    body = 'list(JOIN ARGV "|" all)\n  message("{0}|${{all}}")'
    head += "".join(f"function({n})\n  {body.format(n)}\nendfunction()\n" for n in functions)
    script = lists.with_name(f"called_{lists.name}.cmake")
    script.write_text(head + lists.read_text())
    shown = subprocess.run(["cmake", "-P", str(script)], capture_output=True, check=True, text=True)
    script.unlink()
    lines = [line.split("|") for line in shown.stderr.splitlines()]
    return [(name, words) for name, *words in lines]


def zephyr(folder: Path) -> Build:
    module = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())
    # Zephyr makes variables of the name, of which its own modules have many, and one is its own.
    name, build = module["name"].removeprefix("tflm_vit_"), module["build"]
    assert module == {"name": f"tflm_vit_{name}", "build": build, "samples": ["samples"]}
    lists = folder / build["cmake"] / "CMakeLists.txt"
    option = re.search(r"^config (\w+)$", (folder / build["kconfig"]).read_text(), re.M)[1]
    calls = (
        "zephyr_library_named", "zephyr_library_sources", "zephyr_library_compile_options",
        "zephyr_include_directories",
    )  # fmt: skip
    assert cmake_calls(lists, calls) == []  # unless it is asked for
    sample = yaml.safe_load((folder / "samples" / name / "sample.yaml").read_text())
    assert sample["tests"] == {f"sample.tflm_vit.{name}": {"tags": "tflm_vit"}}  # no list: old ones
    settings = (folder / "samples" / name / "prj.conf").read_text().splitlines()
    assert f"CONFIG_{option}=y" in settings
    sources: dict[Path, tuple[str, ...]] = {}
    includes: list[Path] = []
    group: list[Path] = []
    for function, words in cmake_calls(lists, calls, **{f"CONFIG_{option}": "y"}):
        if function == "zephyr_library_sources":
            group = [Path(word).resolve() for word in words]
            sources |= dict.fromkeys(group, ())
        elif function == "zephyr_library_compile_options":
            sources |= dict.fromkeys(group, tuple(words))
        elif function == "zephyr_include_directories":
            includes += [Path(word).resolve() for word in words]
    return Build(sources, tuple(includes))


def arduino(folder: Path) -> Build:
    lines = (folder / "library.properties").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines)
    assert list(values) == [
        "name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url",
        "architectures", "includes", "dot_a_linkage",
    ]  # fmt: skip
    assert all(values.values())
    assert re.fullmatch(r"\d+\.\d+\.\d+", values["version"])
    assert (folder / "src" / values["includes"]).is_file()
    found = [p for p in (folder / "src").rglob("*") if p.suffix in (".c", ".cpp", ".S")]
    return Build(dict.fromkeys(sorted(found), ()), (folder / "src",))


def platformio(folder: Path) -> Build:
    manifest = json.loads((folder / "library.json").read_text())
    build = manifest["build"]
    assert (folder / build["includeDir"] / manifest["headers"]).is_file()
    assert build["srcFilter"][0] == "-<*>"
    chosen = [re.fullmatch(r"\+<(\w+/)>", rule)[1] for rule in build["srcFilter"][1:]]
    root = folder / build["srcDir"]
    found = [p for part in chosen for p in (root / part).rglob("*") if p.suffix in (".c", ".S")]
    return Build(dict.fromkeys(found, tuple(build["flags"])), (folder / build["includeDir"],))


def csolution(folder: Path) -> Build:
    sources: dict[Path, tuple[str, ...]] = {}
    includes: list[Path] = []
    layers = sorted(folder.glob("*.clayer.yml"))
    assert len(layers) == 2
    for path in layers:
        layer = yaml.safe_load(path.read_text())["layer"]
        assert layer["language-C"] == "c11"
        includes += [folder / each for each in layer.get("add-path", [])]
        for group in layer["groups"]:
            flags = {"speed": ("-O3",)}[group["optimize"]]
            sources |= {folder / entry["file"]: flags for entry in group["files"]}
    check_pack(folder, set(sources), includes)
    return Build(sources, tuple(includes))


def check_pack(folder: Path, sources: set[Path], includes: list[Path]) -> None:
    """The description as a pack names the same sources and folders, and what the model requires."""
    (path,) = folder.glob("*.pdsc")
    root = ET.parse(path).getroot()
    assert path.name == f"{root.findtext('vendor')}.{root.findtext('name')}.pdsc"
    named: dict[str, list[Path]] = {}
    for file in root.iter("file"):
        named.setdefault(file.get("category"), []).append(folder / file.get("name"))
    assert set(named) == {"include", "header", "sourceC", "sourceAsm"}
    assert sorted([*named["sourceC"], *named["sourceAsm"]]) == sorted(sources)
    assert named["include"] == includes
    assert all(
        each.is_file() for kind in ("header", "sourceC", "sourceAsm") for each in named[kind]
    )
    # What PACK.xsd has for compilers; Arm's version 6 is an option there.
    accepted = [dict(e.attrib) for e in root.iter("accept")]
    ac6 = {"Tcompiler": "ARMCC", "Toptions": "AC6"}
    assert accepted == [{"Tcompiler": "GCC"}, {"Tcompiler": "CLANG"}, ac6]
    assert root.get("schemaVersion") == "1.7.27"  # "CLANG" is from there on, it was "Clang" before
    model, kernels = root.iter("component")
    required = {e.get("id"): e.findall("require") for e in root.iter("condition")}
    assert required[model.get("condition")][-1].get("Csub") == kernels.get("Csub")
    assert kernels.get("condition") in required


def esp_idf(folder: Path) -> Build:
    manifest = yaml.safe_load((folder / "idf_component.yml").read_text())
    assert set(manifest) == {"version", "description", "license"}
    calls = dict(
        cmake_calls(
            folder / "CMakeLists.txt",
            ("idf_component_register", "target_compile_options"),
            COMPONENT_LIB="lib",
        )
    )
    words = calls["idf_component_register"]
    end = words.index("INCLUDE_DIRS")
    assert words[0] == "SRCS"
    assert calls["target_compile_options"][:2] == ["lib", "PRIVATE"]
    flags = tuple(calls["target_compile_options"][2:])
    sources = {folder / word: flags for word in words[1:end]}
    return Build(sources, tuple(folder / word for word in words[end + 1 :]))


READERS: dict[str, Callable[[Path], Build]] = {
    "zephyr": zephyr,
    "arduino": arduino,
    "platformio": platformio,
    "csolution": csolution,
    "esp_idf": esp_idf,
}
