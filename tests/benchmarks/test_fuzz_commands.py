# SPDX-License-Identifier: Apache-2.0
"""Mutants of `.tflite` files in commands: a sample of `python -m benchmarks.fuzz.commands`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.fuzz import command_child, commands
from benchmarks.fuzz.command_child import ACCEPTED, REFUSED, TRACEBACK, Outcome, outcome_of
from benchmarks.fuzz.command_files import files_for
from benchmarks.fuzz.command_table import ReaderCommand
from benchmarks.fuzz.commands import mutants_for, tally
from benchmarks.fuzz.tally import Tally, class_of
from tflm_vit.files import read_json


def test_a_sample_is_accepted_and_right_or_refused_with_a_line(tmp_path: Path) -> None:
    files = files_for("plan", "")
    for name in ("plan", "inspect"):
        found = Tally()
        for seed, kind, change, content in mutants_for(name, files, range(60)):
            found.add(seed, kind, change, outcome_of(name, content, seed % 2 == 0, tmp_path))
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
        found = Tally()
        found.add(0, "plain", "word", outcome_of("some", b"", True, tmp_path))
        return found

    assert outcome(1, "some: no").faults == []
    assert outcome(0, "").faults == []
    assert outcome(-1, "").verdicts == {TRACEBACK: 1}
    for found in (
        outcome(-1, ""), outcome(1, ""), outcome(1, "some: a\nsome: b"),
        outcome(1, "some: no", left=True), outcome(0, "", wrong="differs"),
    ):  # fmt: skip
        assert len(found.faults) == found.fault_count == 1


def test_a_campaign_goes_on_from_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two parts it counts what it counts in one."""

    class Answers:
        def __init__(self, name: str) -> None:
            pass

        def outcome(self, content: bytes) -> Outcome:
            verdict = ACCEPTED if len(content) % 3 else REFUSED
            return Outcome(verdict, "line", "" if len(content) % 5 else "a warning", True)

        def end(self) -> None:
            pass

    monkeypatch.setattr(commands, "Command", Answers)
    files = files_for("plan", "")

    def after(result: Tally, inputs: int) -> Tally:
        for _ in tally("plan", files, result, inputs, 60.0):
            pass
        return result

    whole = after(Tally(700), 30)
    part = after(Tally(700), 13)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(part.summary()), encoding="utf-8")
    resumed = after(Tally.of(read_json(path)), 30)
    assert resumed.summary() == whole.summary()
    assert whole.inputs == 30
    assert whole.fault_count > 0
    assert len(whole.outcomes) > 3


def test_every_change_has_a_class() -> None:
    assert [class_of(change) for change in ("word+shape", "plan_word", "metadata", "scale")] == [
        "bytes", "own", "file", "graph",
    ]  # fmt: skip
