# SPDX-License-Identifier: Apache-2.0
"""A board says the name of the class, whatever the name holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from boards import get_board
from converter.compile import compile_model
from converter.contract import Contract, with_contract
from converter.plan.model import plan_model
from converter.tflite import parse, serialize
from firmware.connection import Connection
from firmware.emulator.emulator import Emulator
from firmware.emulator.serial_line import EmulatedSerial
from firmware.model import build_model
from tests.converter.compile import fused_models

NAMES = (
    'a "quoted" \\ name',
    "*/ int evil; /*",
    "what??/",
    "%s %n ~}~",
    "na\u00efve",
    "x" * 200,
    "plain",
)


def printable(name: str) -> str:
    """As on the console: ASCII, no byte of the protocol's frames, at most 48 bytes."""
    return "".join(c if " " <= c <= "|" else "?" for c in name)[:48]


@pytest.fixture(scope="module")
def named() -> bytes:
    ops = fused_models.vit_ops(image=fused_models.ImageShape(8, 8, 1, 2, 2, 0), classes=7)
    model = parse(fused_models.model_bytes(ops))
    return plan_model(serialize(with_contract(model, Contract(class_names=NAMES)))).model_bytes


def test_the_board_prints_the_name(named: bytes, tmp_path: Path) -> None:
    elf = tmp_path / "firmware.elf"
    board = get_board("stm32f746g_disco")
    build_model(named, board, elf)
    image = elf.read_bytes()
    for name in NAMES:
        assert printable(name).encode() + b"\0" in image
    emulator = Emulator(board, elf)
    connection = Connection(EmulatedSerial(emulator))
    shown = set()
    rng = np.random.default_rng(0)
    for pixels in rng.integers(-128, 128, (20, 8, 8, 1), np.int8):
        result = connection.classify(pixels)
        name = printable(NAMES[result.best_class])
        assert f"class {result.best_class} ({name}), logit" in connection.text()
        shown.add(name)
    assert connection.repeated == 0
    assert len(shown) > 1


def test_without_names_nothing_is_added() -> None:
    ops = fused_models.vit_ops(image=fused_models.ImageShape(8, 8, 1, 2, 2, 0), classes=7)
    compiled = compile_model(plan_model(fused_models.model_bytes(ops)).model_bytes)
    assert not any(b"class_names" in file.content for file in compiled.files)
