# SPDX-License-Identifier: Apache-2.0
"""Exported projects build by the commands of their own README, and their ELF runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from boards import board_names, get_board
from firmware.emulator.emulator import Emulator
from firmware.errors import FirmwareError
from firmware.export import export_project
from firmware.formats import vscode
from firmware.project import make_project
from tests.firmware import fake_model
from tests.firmware.fake_model import FakeModel

BOARD = "stm32f746g_disco"


def readme_commands(folder, heading):
    """The commands of the first code block below a heading."""
    section = (folder / "README.md").read_text().split(f"## {heading}")[1]
    return re.search(r"```sh\n(.*?)```", section, re.S).group(1).strip().splitlines()


def run_commands(folder, commands):
    for command in commands:
        result = subprocess.run(
            command, shell=True, cwd=folder, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def project(tmp_path):
    model, kernels = fake_model.write(tmp_path / "generated")
    return make_project(get_board(BOARD), model, kernels, name="digits")


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
@pytest.mark.parametrize("preset", ["release", "debug"])
@pytest.mark.parametrize("section", [".rodata.vit_weights", ".extflash.vit_weights"])
def test_cmake_project_builds_by_its_readme_and_runs(tmp_path, preset, section):
    model, kernels = fake_model.write(tmp_path / "generated", FakeModel(section=section))
    project = make_project(get_board(BOARD), model, kernels, name="digits")
    use = export_project(project, "cmake", tmp_path / "out")
    shutil.rmtree(tmp_path / "generated")  # The project stands alone.
    moved = tmp_path / "moved elsewhere"
    (tmp_path / "out").rename(moved)
    commands = [c.replace("release", preset) for c in readme_commands(moved, "Build")]
    run_commands(moved, commands)
    build_folder = moved / "build" / preset
    elf = (build_folder / "digits.elf").read_bytes()
    # The folder is in the image for debuggers only: a released one is the same from any other.
    assert (str(tmp_path).encode() in elf) == (preset == "debug")
    emulator = Emulator(get_board(BOARD), build_folder / "digits.elf")
    image = fake_model.images(1)[0]
    logits = emulator.classify(image).logits
    np.testing.assert_array_equal(logits, fake_model.reference(image))
    if preset == "release":
        assert emulator.memory_use() == use
    external = build_folder / "digits_external.bin"
    assert external.exists() == section.startswith(".extflash")
    if external.exists():
        assert external.read_bytes() == fake_model.weights().tobytes()
    else:
        assert (build_folder / "digits.bin").stat().st_size == emulator.memory_use().flash_bytes


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
@pytest.mark.parametrize("name", [name for name in board_names() if name != BOARD])
def test_cmake_projects_of_the_other_boards_run(tmp_path, name):
    model, kernels = fake_model.write(tmp_path / "generated", FakeModel(streamed=True))
    board = get_board(name)
    out = tmp_path / "out"
    export_project(make_project(board, model, kernels, name="digits"), "cmake", out, check=False)
    run_commands(out, readme_commands(out, "Build"))
    image = fake_model.images(1)[0]
    logits = Emulator(board, out / "build" / "release" / "digits.elf").classify(image).logits
    np.testing.assert_array_equal(logits, fake_model.reference(image))


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_flash_targets_call_the_tools(project, tmp_path, monkeypatch):
    """The tools are replaced by scripts that record how they were called."""
    out = tmp_path / "out"
    export_project(project, "cmake", out, check=False)
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("openocd", "STM32_Programmer_CLI"):
        script = tools / tool
        script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/{tool}.txt\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    run_commands(out, readme_commands(out, "Build") + readme_commands(out, "Program"))
    openocd = (tmp_path / "openocd.txt").read_text()
    assert openocd.startswith("-f board/stm32f7discovery.cfg -c program ")
    assert openocd.strip().endswith("digits.elf verify reset exit")
    assert "-c port=SWD -w " in (tmp_path / "STM32_Programmer_CLI.txt").read_text()


@pytest.mark.parametrize("section", [".rodata.vit_weights", ".extflash.vit_weights"])
def test_debug_sessions_of_vs_code(tmp_path, section):
    """Each way to program the board is a way to debug it; registers by the part's name."""
    model, kernels = fake_model.write(tmp_path / "generated", FakeModel(section=section))
    project = make_project(get_board(BOARD), model, kernels, name="digits")
    export_project(project, "cmake", tmp_path / "out", check=False)
    folder = tmp_path / "out" / ".vscode"
    read = {p.stem: json.loads(p.read_text()) for p in folder.iterdir()}
    sessions = {s["servertype"]: s for s in read["launch"]["configurations"]}
    assert set(sessions) == {"stlink", "openocd"}
    for session in sessions.values():
        assert session["type"] == "cortex-debug"
        assert session["executable"] == "${command:cmake.launchTargetPath}"
        assert session["device"] == "STM32F746NGHx"
        assert session["svdFile"].endswith("/STMicroelectronics_CMSIS_SVD/STM32F746.svd")
    assert sessions["openocd"]["configFiles"] == ["board/stm32f7discovery.cfg"]
    loader = ["-el", "N25Q128A_STM32F746G-DISCO.stldr"]
    assert sessions["stlink"].get("serverArgs", []) == loader * section.startswith(".extflash")
    assert "marus25.cortex-debug" in read["extensions"]["recommendations"]


@pytest.mark.parametrize("name", board_names())
def test_sessions_of_boards_without_st_link(tmp_path, name):
    board = get_board(name)
    sessions = json.loads(vscode.launch(board, external=False))["configurations"]
    assert all(("svdFile" in s) == board.part.startswith("STM32") for s in sessions)
    assert ("stlink" in str(sessions)) == board.flash_tool.stm32
    recommended = json.loads(vscode.extensions(board))["recommendations"]
    assert ("stm32-vscode" in str(recommended)) == board.flash_tool.stm32


def test_nothing_of_this_machine_is_in_the_project(project, tmp_path):
    export_project(project, "cmake", tmp_path / "out", check=False)
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file() and path.suffix != ".bin":
            text = path.read_text()
            assert str(tmp_path) not in text
            assert "SPDX-License-Identifier: Apache-2.0" in text or path.suffix in (".json", ".md")


def test_existing_folder_needs_force(project, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    with pytest.raises(FirmwareError, match="exists; choose another --out or give --overwrite"):
        export_project(project, "cmake", out)
    assert (out / "precious.txt").read_text() == "mine"
    with pytest.raises(FirmwareError, match=r"is no folder of an export \(there is precious.txt"):
        export_project(project, "cmake", out, overwrite=True, check=False)
    assert (out / "precious.txt").read_text() == "mine"


def test_a_folder_of_an_export_is_replaced_unless_it_has_a_history(project, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for _ in range(2):  # an empty folder, and that of an export
        export_project(project, "cmake", out, overwrite=True, check=False)
        assert (out / "CMakeLists.txt").exists()
        assert not (out / "stale.c").exists()
        (out / "stale.c").write_text("")
    (out / ".git").mkdir()
    with pytest.raises(FirmwareError, match=r"has a history of its own \(.git\)"):
        export_project(project, "cmake", out, overwrite=True, check=False)
    assert (out / "stale.c").exists()


def test_a_link_stays_and_the_folder_that_it_leads_to_is_replaced(project, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "firmware")
    for overwrite in (False, True):
        export_project(project, "cmake", tmp_path / "link", overwrite=overwrite, check=False)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "disk" / "firmware" / "CMakeLists.txt").is_file()
        assert not (tmp_path / "link" / "stale.c").exists()
        (tmp_path / "link" / "stale.c").write_text("")
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["firmware"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "generated", "link"]


def test_failure_leaves_nothing(tmp_path):
    model, kernels = fake_model.write(tmp_path / "generated", FakeModel(arena_bytes=400_000))
    project = make_project(get_board(BOARD), model, kernels)
    with pytest.raises(FirmwareError, match="does not fit"):
        export_project(project, "cmake", tmp_path / "folder" / "out")
    assert not list((tmp_path / "folder").iterdir())


def test_unknown_format_is_named(project, tmp_path):
    with pytest.raises(FirmwareError, match="unknown format 'scons'; expected one of cmake"):
        export_project(project, "scons", tmp_path / "out")
