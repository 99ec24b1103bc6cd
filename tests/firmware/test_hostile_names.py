# SPDX-License-Identifier: Apache-2.0
"""Names that hold anything stay in their place in every file of every format.

Each file is read back by its language's own parser, and has to hold what it holds with plain names:
the compiler's preprocessor for C and the linker script, CMake itself with its commands replaced by
ones that print their arguments, and Python's parsers of JSON and XML.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from boards import Board, get_board
from boards.board import CubeIde, FlashTool
from converter.compile.header import class_names_text, header_text, tensor_tables
from converter.compile.interface import ImageInterface, Interface, TensorInterface
from firmware.errors import FirmwareError
from firmware.escape import c_string
from firmware.formats import FORMATS
from firmware.project import check_project_name, make_project
from firmware.render import linker_script
from tests.firmware import fake_model
from tests.firmware.fake_model import FakeModel

HOSTILE = (
    '*/ PROVIDE(evil = 1); /* "); int evil; //',
    "]] \n)\nmessage(evil) #[[ ${evil} @NAME@ $ENV{HOME}",
    '", "evil": "\\u0000\\',
    "<evil>&amp;]]></evil> \x01\x1f\x7f \ud7ff\ufffe",
    "```\n# evil\n| a | <script>",
    "??/\\",
    "größe \u2028 \x85 \r\n \0 \x1b[2J",
)
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=40))
_COMMANDS = (
    "project", "add_executable", "set_target_properties", "target_include_directories",
    "target_compile_options", "target_compile_definitions", "target_link_options",
    "target_link_libraries", "set_source_files_properties", "add_custom_command",
    "add_custom_target", "add_subdirectory", "mbed_set_post_build", "include",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Names:
    """What people write into a board's file; the defaults occur nowhere else."""

    title: str = "Xtitle"
    part: str = "Xpart"
    manual: str = "Xmanual"
    mcu: str = "Xmcu"
    board: str = "Xboard"
    openocd: str = "Xopenocd"
    loader: str = "Xloader"

    def given_to(self, board: Board) -> Board:
        return dataclasses.replace(
            board,
            name=self.title,
            title=self.title,
            part=self.part,
            manual=self.manual,
            cube_ide=CubeIde(self.mcu, self.board),
            flash_tool=FlashTool((self.openocd,), self.loader),
        )


def _written(names: Names, folder: Path) -> dict[str, Path]:
    """The files of all formats that hold text of the board's; by format and path."""
    shutil.rmtree(folder, ignore_errors=True)
    external = fake_model.write(folder / "m", FakeModel(section=".extflash.vit_weights"))
    internal = fake_model.write(folder / "n")
    board = names.given_to(get_board("stm32f746g_disco"))
    found = {}
    for entry in FORMATS:
        # Mbed has no external weights.
        project = make_project(
            board, *(internal if entry.name == "mbed" else external), name="digits"
        )
        for file in entry.files(project, None):
            if file.text is not None:
                file.write(folder / f"{entry.name}{entry.variant}")
                path = f"{entry.name}{entry.variant}/{file.path}"
                found[path] = folder / path
    return found


def _without_comments(path: Path) -> str:
    """What a compiler sees of C, or of a linker script; macros are kept."""
    command = ["gcc", "-E", "-P", "-dD", "-undef", "-x", "c", str(path)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def _commands(path: Path) -> list[list[str]]:
    """What CMake would have run: the name of each command and its arguments."""
    functions = "".join(
        f'function({name})\n  set(line {name})\n  math(EXPR last "${{ARGC}} - 1")\n'
        '  foreach(i RANGE ${last})\n  string(HEX "${ARGV${i}}" hex)\n'
        '  string(APPEND line " ${hex}")\n  endforeach()\n  message("${line}")\nendfunction()\n'
        for name in _COMMANDS
    )
    script = path.with_suffix(".cmake")
    script.write_text(functions, encoding="utf-8")
    with script.open("ab") as stream:
        stream.write(path.read_bytes())
    command = ["cmake", "-P", str(script)]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stderr
    lines = [line.split(" ") for line in shown.splitlines()]
    return [[name, *(bytes.fromhex(h).decode() for h in args)] for name, *args in lines]


def _xml(path: Path) -> list[tuple[str, str | None, dict[str, object]]]:
    """Elements; a value that is JSON is read as such, and holds what XML can."""

    def value(text: str) -> object:
        if not text.startswith('[{"'):
            return text
        return json.loads(text, object_hook=lambda o: {
            k: _shown(".launch", v) if isinstance(v, str) else v for k, v in o.items()
        })  # fmt: skip

    every = ET.parse(path).getroot().iter()
    return [(e.tag, e.text, {k: value(v) for k, v in e.attrib.items()}) for e in every]


def _markdown(path: Path) -> list[str]:
    """Each line's kind, and whole lines where they are code."""
    kinds, fenced = [], False
    for line in path.read_text(encoding="utf-8").split("\n"):
        fenced ^= line.startswith("```")
        kinds.append(line if fenced else re.match(r"#*|```|\|", line)[0])
    return kinds


def _read(path: Path) -> object:
    """What a file says to its language's parser."""
    if path.suffix in (".json", ".json5"):
        return json.loads(re.sub(r"\A//.*\n", "", path.read_text(encoding="utf-8")))
    if path.suffix in (".h", ".ld"):
        return _without_comments(path)
    if path.suffix == ".md":
        return _markdown(path)
    if path.name in (".project", ".cproject") or path.suffix == ".launch":
        return _xml(path)
    if path.name == "CMakeLists.txt":
        return _commands(path)
    return path.read_text(encoding="utf-8")


def _shown(suffix: str, text: str) -> str:
    """How a language shows a text that it may not be able to hold."""
    if suffix == ".h":
        return c_string("".join(c if " " <= c <= "~" else "?" for c in text))[1:-1]
    if suffix in (".json", ".json5", ".txt"):
        return text
    return re.sub(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)


def _with(value: object, names: Names, suffix: str) -> object:
    """A value as the parser gave it, the plain names in it replaced by others."""
    if isinstance(value, str):
        words = {f.default: getattr(names, f.name) for f in dataclasses.fields(Names)}
        pattern = "|".join(words)
        return re.sub(pattern, lambda m: _shown(suffix, words[m[0]]), value)
    if isinstance(value, dict):
        return {key: _with(inner, names, suffix) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_with(inner, names, suffix) for inner in value)
    return value


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    written = _written(Names(), tmp_path_factory.mktemp("plain") / "files")
    return {path: _read(file) for path, file in written.items()}


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
@settings(max_examples=8, deadline=None)
@given(st.builds(Names, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS))
@example(Names(*HOSTILE))
@example(Names(*HOSTILE[::-1]))
def test_names_of_a_board_stay_in_their_place(plain, tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("hostile") / "files"
    if re.search("[\0\r]", names.openocd + names.loader):
        with pytest.raises(FirmwareError, match="without NUL"):
            _written(names, folder)
        clean = {n: re.sub("[\0\r]", "?", getattr(names, n)) for n in ("openocd", "loader")}
        names = dataclasses.replace(names, **clean)
    files = _written(names, folder)
    assert files.keys() == plain.keys()
    for path, file in files.items():
        if Path(path).parent.name == "board" and not path.startswith("cmake/"):
            continue  # the same in all formats
        assert _read(file) == _with(plain[path], names, file.suffix), path


_PROGRAM = """\
int main(void) {
  for (int i = 0; i < VIT_MODEL_CLASSES; ++i) puts(vit_model_class_names[i]);
  for (int i = 0; i < VIT_MODEL_INPUT_COUNT; ++i) puts(vit_model_inputs[i].name);
  for (int i = 0; i < VIT_MODEL_OUTPUT_COUNT; ++i) puts(vit_model_outputs[i].name);
  return 0;
}
"""


@settings(max_examples=5, deadline=None)
@given(st.lists(TEXTS, min_size=3, max_size=3), TEXTS, TEXTS)
@example(HOSTILE[:3], HOSTILE[3], HOSTILE[4])
@example(HOSTILE[4:], HOSTILE[0], HOSTILE[1])
def test_names_of_a_model_reach_the_program_as_text(tmp_path_factory, classes, first, last):
    folder = tmp_path_factory.mktemp("model")
    int8 = np.dtype(np.int8)
    tensors = [TensorInterface(n, (1, 3), int8, 3, 0.5, 0, 0) for n in (first, last)]
    image = ImageInterface(1, 1, 3, 3, 0.5, 0, 0.5, 0)
    interface = Interface(64, 1, False, (tensors[0],), (tensors[1],), image, tuple(classes))
    (folder / "vit_model.h").write_text(header_text(interface))
    lines = ['#include "vit_model.h"', "#include <stdio.h>", *tensor_tables(interface)]
    source = folder / "names.c"
    source.write_text("\n".join([*lines, class_names_text(tuple(classes)), _PROGRAM]))
    flags = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-O0")
    subprocess.run(["gcc", *flags, source, "-o", folder / "names"], check=True)
    shown = subprocess.run([folder / "names"], capture_output=True, check=True, text=True).stdout
    texts = ["".join(c if " " <= c <= "|" else "?" for c in t)[:48] for t in classes]
    texts += ["".join(c if " " <= c <= "~" else "?" for c in t) for t in (first, last)]
    assert shown == "".join(f"{text}\n" for text in texts)


@given(st.text(alphabet=st.characters(exclude_characters="_"), max_size=80))
def test_names_that_nothing_can_quote_are_refused(text):
    """A region's in the linker script, a project's in targets, files and folders."""
    board = get_board("stm32f746g_disco")
    region = dataclasses.replace(board.regions[-1], name=text)
    renamed = dataclasses.replace(board, regions=(*board.regions[:-1], region))
    word = re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,63}", text)
    if not word:
        with pytest.raises(FirmwareError, match="memory region"):
            linker_script(renamed)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", text):
        with pytest.raises(FirmwareError, match="project name"):
            check_project_name(text)


@pytest.mark.parametrize("name", ["con", "AUX", "lpt1", "codegen", "all", "mbed-os"])
def test_names_with_a_meaning_elsewhere_are_refused(name):
    with pytest.raises(FirmwareError, match="project name"):
        check_project_name(name)
