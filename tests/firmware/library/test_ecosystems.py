# SPDX-License-Identifier: Apache-2.0
"""Zephyr, Arduino, PlatformIO, csolution, ESP-IDF: what their manifests name is compiled and run.

Each manifest is read, the sources, folders and flags that it names are compiled by the host's
compiler, and linked with the sample of the format, or the README's code. Of the tools only
Arduino's builder is in a Debian package: test_arduino.py.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from boards import get_board
from converter.runtimes import open_runtime
from firmware.errors import FirmwareError
from firmware.formats import LIBRARY_FORMATS, arduino, get_library_format
from firmware.formats import yaml as writer
from firmware.library import Library, library_from_model
from tests.firmware.library import builds, models
from tests.firmware.library.builds import ARDUINO_H, READERS, Build
from toolchain import compiled, host_c, host_cxx

KIND = "ecosystems"
# What an ecosystem's own headers would declare.
ZEPHYR_H = """\
#include <stdint.h>
#include <stdio.h>
#define printk printf
static inline uint32_t k_cycle_get_32(void) { return 0; }
"""
pytestmark = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


@pytest.fixture(scope="module")
def library() -> Library:
    return library_from_model(models.second(), "second", get_board("stm32f746g_disco"))


def written(library: Library, name: str, folder: Path) -> Path:
    out = folder / name
    for file in get_library_format(name).files(library):
        file.write(out)
    return out.resolve()


def objects(build: Build) -> list[Path]:
    """Each source with its own flags, as the host compiles it; kernels come out of the cache."""
    made = []
    for source, flags in build.sources.items():
        # The Arduino core chooses them: here what the others have.
        chosen = flags or ("-O3",)
        near = [*source.parent.glob("*.h"), *(p for d in build.includes for p in d.glob("*.h"))]
        headers = near if "kernels" not in source.parts else list(source.parent.glob("*.h"))
        places = [f"-I{folder}" for folder in build.includes]
        strict = ("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
        made += compiled(KIND, host_c(), [*strict, *chosen], [source], headers, places=places)
    return made


def readme_program(folder: Path) -> str:
    """The code of the README, called."""
    code = re.search(r"```c\n(.*?)```", (folder / "README.md").read_text(), re.S)[1]
    return (
        f"#include <stdio.h>\n{code}\nstatic int8_t image[SECOND_INPUT_BYTES];\n"
        "int main(void) {\n  size_t best = 0;\n  const int status = (int)classify(image, &best);\n"
        '  printf("status %d, class %u\\n", status, (unsigned)best);\n  return 0;\n}\n'
    )


def program(name: str, folder: Path, work: Path) -> tuple[Path, list[str]]:
    """The source of a program for a format, and options of its own."""
    work.mkdir()
    if name == "zephyr":
        (work / "zephyr" / "sys").mkdir(parents=True)
        (work / "zephyr" / "kernel.h").write_text(ZEPHYR_H)
        (work / "zephyr" / "sys" / "printk.h").write_text("")
        return folder / "samples" / "second" / "src" / "main.c", [f"-I{work}"]
    if name == "arduino":
        (work / "Arduino.h").write_text(ARDUINO_H)
        sketch = (folder / "examples" / "second" / "second.ino").read_text()
        end = "int main() {\n  setup();\n  loop();\n}\n"
        (work / "main.cpp").write_text(f'#include "Arduino.h"\n{sketch}\n{end}')
        return work / "main.cpp", [f"-I{work}"]
    (work / "main.c").write_text(readme_program(folder))
    return work / "main.c", []


def linked(source: Path, options: list[str], inputs: list[Path], build: Build, work: Path) -> str:
    """What the program prints."""
    compiler = host_cxx() if source.suffix == ".cpp" else host_c()
    includes = [f"-I{folder}" for folder in build.includes]
    words = [compiler.path, "-Wall", "-Wextra", "-Werror", *options, *includes, str(source)]
    elf = work / "program"
    subprocess.run([*words, *map(str, inputs), "-o", str(elf)], check=True)
    return subprocess.run([elf], capture_output=True, check=True, text=True).stdout


@pytest.mark.parametrize("name", READERS)
def test_what_the_manifest_names_gives_the_reference(library, tmp_path, name):
    options = get_library_format(name).optimization
    folder = written(dataclasses.replace(library, optimization=options), name, tmp_path)
    build = READERS[name](folder)
    said = {flag for flags in build.sources.values() for flag in flags}
    # The stack is measured with what the tool is told; Arduino's cores are told nothing.
    assert said == (set() if name == "arduino" else {options.model, options.kernels})
    suffixes = (".c",) if name == "esp_idf" else (".c", ".S")
    parts = ("samples", "examples")
    there = {p for p in folder.rglob("*") if p.suffix in suffixes and not {*p.parts} & {*parts}}
    assert set(build.sources) == there
    source, own = program(name, folder, tmp_path / "work")
    shown = linked(source, own, objects(build), build, tmp_path / "work")
    image = np.zeros((1, 18, 14, 3), np.int8)
    (expected,) = open_runtime("reference", models.second()).run(image)
    assert f"status 0, class {int(np.argmax(expected))}" in shown


def test_two_archives_share_the_kernels_of_one(library, tmp_path):
    """As Arduino, PlatformIO and ESP-IDF link them."""
    other = library_from_model(models.first(), "first", get_board("stm32f746g_disco"), check=False)
    found = []
    for each in (library, other):
        build = builds.arduino(written(each, "arduino", tmp_path / each.name))
        archive = tmp_path / f"lib{each.name}.a"
        subprocess.run(["ar", "rcs", archive, *objects(build)], check=True)
        found.append((build, archive))
    source = tmp_path / "main.c"
    source.write_text(
        '#include "first.h"\n#include "second.h"\nint main(void) {\n  static first_state a;\n'
        "  static second_state b;\n  return first_run(&a, NULL) != FIRST_ERROR_STATE ||\n"
        "         second_run(&b, NULL) != SECOND_ERROR_STATE;\n}\n"
    )
    both = Build({}, tuple(build.includes[0] for build, _ in found))
    # Each needs members of the kernels: those that are in already are not taken again.
    linked(source, [], [archive for _, archive in found], both, tmp_path)
    symbols = subprocess.run(
        ["nm", "--defined-only", tmp_path / "program"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert symbols.count(f"vit_{library.facts.kernels}_attention") == 1


def test_code_of_the_readme_for_tensors_compiles(tmp_path):
    third = library_from_model(models.third(), "sums", get_board("stm32f746g_disco"), check=False)
    folder = written(third, "library", tmp_path)
    code = re.search(r"```c\n(.*?)```", (folder / "README.md").read_text(), re.S)[1]
    (tmp_path / "main.c").write_text(code)
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{folder / 'include'}"]
    subprocess.run([host_c().path, *flags, tmp_path / "main.c"], check=True)
    assert "_STACK_BYTES" not in (folder / "include" / "sums.h").read_text().split("-fstack")[1]


def test_every_format_has_a_reader_here():
    assert {entry.name for entry in LIBRARY_FORMATS} == {"library", *READERS}


def test_names_that_an_ecosystem_keeps_are_refused(library):
    other = dataclasses.replace(
        library, facts=dataclasses.replace(library.facts, name="arduino_net")
    )
    with pytest.raises(FirmwareError, match="Arduino's own"):
        arduino.files(other)


def test_yaml_reads_back_as_it_was():
    value = {
        "a": "x: y # z",
        "b": {"c": ["1", "no", "'\"\\\n", "größe"], "d": [{"e": "f", "g": ["h"]}, {"i": "j"}]},
    }
    assert yaml.safe_load(writer.document(value)) == value
    with pytest.raises(ValueError, match="empty"):
        writer.document({"a": [], "b": "c"})
