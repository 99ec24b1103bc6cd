# SPDX-License-Identifier: Apache-2.0
"""A folder is replaced without a moment in which there is none, whoever is killed when."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tflm_vit import folders, leftovers


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it."""


def make(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "file").write_text(text)
    return folder


def dead_process() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


@pytest.mark.parametrize("exchange", [True, False])
def test_the_new_takes_the_place_of_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(folders, "_exchanged", lambda one, other: False)
    place = tmp_path / "out"
    for text in ("old", "new"):
        with folders.working_folder(place) as work:
            folders.put(make(work / "made", text), place)
        assert (place / "file").read_text() == text
        assert os.listdir(tmp_path) == ["out"]


def replace_and_die(place: Path) -> None:
    with folders.working_folder(place) as work:
        folders.put(make(work / "made", "new"), place)
        raise Killed


@pytest.mark.parametrize("at", [0, 1, 2])
def test_killed_between_two_renames_the_next_run_has_a_whole_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Without an exchange of folders: before, between and after the two renames."""
    monkeypatch.setattr(folders, "_exchanged", lambda one, other: False)
    monkeypatch.setattr(os, "getpid", dead_process)
    monkeypatch.setattr(folders.shutil, "rmtree", lambda *args, **kwargs: None)  # nor cleans up
    place, renames, replace = make(tmp_path / "out", "old").resolve(), [0], os.replace

    def killing(one: Path, other: Path) -> None:
        if renames[0] == at:
            raise Killed
        renames[0] += 1
        replace(one, other)

    monkeypatch.setattr(os, "replace", killing)
    with pytest.raises(Killed):
        replace_and_die(place)
    monkeypatch.undo()
    assert place.exists() == (at != 1)
    folders.clean_up(place)
    assert (place / "file").read_text() == ("new" if at == 2 else "old")
    assert os.listdir(tmp_path) == ["out"]


def test_an_exchange_leaves_no_moment_without_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Linux nothing is renamed away first."""
    place = make(tmp_path / "out", "old")
    if not folders._exchanged(make(tmp_path / "a", "a"), make(tmp_path / "b", "b")):
        pytest.skip("renameat2 is not here; the leftover is restored by the next run instead")
    with folders.working_folder(place) as work:
        made = make(work / "made", "new")
        monkeypatch.setattr(os, "replace", lambda *names: pytest.fail("renamed in two steps"))
        folders.put(made, place)
        assert (made / "file").read_text() == "old"
    assert (place / "file").read_text() == "new"


def test_the_folder_of_another_machines_process_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process has a number that means nothing here."""
    monkeypatch.setattr(os, "getpid", dead_process)
    names = []
    for node in ("here", "there"):
        monkeypatch.setattr(platform, "node", lambda node=node: node)
        names.append(leftovers.prefix(".out-") + "abcd1234")
        (tmp_path / names[-1]).mkdir()
    assert leftovers.abandoned(tmp_path, ".out-") == names[1:]
    folders.clean_up(tmp_path / "out")
    assert os.listdir(tmp_path) == names[:1]


def test_a_running_process_keeps_its_folder(tmp_path: Path) -> None:
    place = tmp_path / "out"
    with folders.working_folder(place) as work:
        folders.clean_up(place)
        assert work.exists()


@pytest.mark.parametrize("wrote", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_a_folder_for_nothing_is_gone(tmp_path: Path, old: bool, wrote: bool) -> None:
    place = tmp_path / "a" / "out"
    if old:
        place.mkdir(parents=True)

    def work() -> None:
        with folders.output_folder(place):
            assert place.is_dir()
            if wrote:
                (place / "part").touch()
            raise ValueError

    with pytest.raises(ValueError, match=""):
        work()
    assert place.exists() == (old or wrote)
