# SPDX-License-Identifier: Apache-2.0
"""Mutants of `.tflite` files in commands: a sample of `python -m benchmarks.fuzz.commands`."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fuzz import command_child
from benchmarks.fuzz.command_child import ACCEPTED, REFUSED, TRACEBACK, outcome_of
from benchmarks.fuzz.command_files import files_for
from benchmarks.fuzz.command_table import ReaderCommand
from benchmarks.fuzz.commands import Tally, mutants_for


def test_a_sample_is_accepted_and_right_or_refused_with_a_line(tmp_path: Path) -> None:
    files = files_for("plan", "")
    for name in ("plan", "inspect"):
        found = Tally()
        for seed, _, change, content in mutants_for(name, files, range(40)):
            found.add(seed, change, outcome_of(name, content, seed % 4 == 0, tmp_path))
        assert found.faults == []
        assert set(found.verdicts) == {ACCEPTED, REFUSED}
        assert found.compared > 0


def test_what_must_not_be_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback, two lines, a file left behind, another result."""

    def outcome(status: int, said: str, left: bool = False, wrong: str = "") -> Tally:
        class Module:
            @staticmethod
            def main(words: list[str]) -> None:
                if left:
                    (Path(words[0]) / "out").write_bytes(b"")
                print(said, file=command_child.sys.stderr)
                if status < 0:
                    raise ZeroDivisionError
                command_child.sys.exit(status)

        command = ReaderCommand("module", (), lambda _, out: [out], lambda *_: wrong, 1)
        monkeypatch.setattr(command_child, "COMMANDS", {"some": command})
        monkeypatch.setattr(command_child.importlib, "import_module", lambda _: Module)
        tally = Tally()
        tally.add(0, "", outcome_of("some", b"", True, tmp_path))
        return tally

    assert outcome(1, "some: no").faults == []
    assert outcome(0, "").faults == []
    assert outcome(-1, "").verdicts == {TRACEBACK: 1}
    for tally in (
        outcome(-1, ""), outcome(1, ""), outcome(1, "some: a\nsome: b"),
        outcome(1, "some: no", left=True), outcome(0, "", wrong="differs"),
    ):  # fmt: skip
        assert len(tally.faults) == 1
