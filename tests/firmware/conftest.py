# SPDX-License-Identifier: Apache-2.0
"""Firmware of the fake model, built once per session for each variant that tests ask for."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from boards import Board, get_board
from firmware.build_elf import build
from firmware.elf import MemoryUse
from firmware.project import Project, make_project
from tests.firmware import fake_model
from tests.firmware.fake_model import FakeModel


@dataclasses.dataclass(frozen=True)
class Built:
    """A linked fake model."""

    board: Board
    project: Project
    elf: Path
    use: MemoryUse


Builder = Callable[..., Built]


@pytest.fixture(scope="session")
def build_fake(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """build_fake(FakeModel(...), board_name) -> Built; the same arguments build once."""

    @functools.cache
    def builder(model: FakeModel = FakeModel(), board_name: str = "stm32f746g_disco") -> Built:  # noqa: B008
        directory = tmp_path_factory.mktemp("fake")
        board = get_board(board_name)
        sources, kernels = fake_model.write(directory, model)
        project = make_project(board, sources, kernels)
        elf = directory / "firmware.elf"
        return Built(board, project, elf, build(project, elf))

    return builder
