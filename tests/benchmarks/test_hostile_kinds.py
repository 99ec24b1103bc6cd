# SPDX-License-Identifier: Apache-2.0
"""Kinds of hostile files: every command refuses them with one line, or is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.frozen.plain_files import plain_file
from benchmarks.fuzz.command_child import ACCEPTED, REFUSED, outcome_of
from benchmarks.fuzz.command_files import FORMS
from benchmarks.fuzz.command_table import PLAIN, PLANNED
from benchmarks.fuzz.mutate import pack, unpack
from converter.fuse import fuse_model
from converter.plan.model import plan_model
from tests.benchmarks.hostile_kinds import KINDS

_SECONDS = 30.0


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    plain = plain_file(FORMS[0])
    return {PLAIN: plain, PLANNED: plan_model(fuse_model(plain).model_bytes).model_bytes}


def _commands(kind: str) -> Sequence[str]:
    return ("fuse", "plan", "inspect") if kind == PLAIN else ("plan", "inspect", "compile")


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_refused_with_a_line_or_right(
    files: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    of, change = KINDS[name]
    tree = unpack(files[of])
    change(tree)
    content = pack(tree)
    assert content != files[of]
    for command in _commands(of):
        found = outcome_of(command, content, command != "compile", tmp_path)
        print(f"{name}: {command} {found}")
        assert found.verdict in (ACCEPTED, REFUSED)
        assert found.fault == ""
        assert found.seconds < _SECONDS
        # A terminal shows a refusal as it is.
        assert found.line.isprintable()
