# SPDX-License-Identifier: Apache-2.0
"""QEMU as a second oracle: firmware computes and counts there what it does in Unicorn."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

from boards import get_board, qemu_board_names, untested_board_names
from converter.compile import compile_model
from converter.runtimes.host import HostModel
from firmware.build_elf import build
from firmware.connection import Connection
from firmware.emulator.emulator import Emulator
from firmware.emulator.faults import GuestFault
from firmware.emulator.open import open_emulator
from firmware.emulator.qemu.emulator import QemuEmulator
from firmware.emulator.qemu.process import PROGRAM
from firmware.emulator.serial_line import EmulatedSerial
from firmware.errors import FirmwareError
from firmware.model import build_model, kernel_files
from firmware.project import make_project
from tests.converter.compile import fused_models
from tests.firmware import fake_model
from tests.firmware.fake_model import FakeModel

pytestmark = pytest.mark.skipif(not shutil.which(PROGRAM), reason=f"{PROGRAM} is not installed")

# 16 KB of SRAM hold no network of the tests.
SMALL_BOARDS = ("microbit",)
# Unicorn has no core with Helium.
HELIUM_BOARDS = [name for name in qemu_board_names() if get_board(name).core.mve]
NETWORK_BOARDS = [n for n in qemu_board_names() if n not in (*SMALL_BOARDS, *HELIUM_BOARDS)]


def build_on(name, folder, model=FakeModel()):  # noqa: B008
    generated, kernels = fake_model.write(folder / "generated", model)
    elf = folder / "firmware.elf"
    build(make_project(get_board(name), generated, kernels), elf)
    return elf


@pytest.mark.parametrize("name", NETWORK_BOARDS)
def test_a_network_computes_and_counts_as_in_unicorn(tmp_path, name):
    board = get_board(name)
    ops = fused_models.vit_ops(bits=16, rank=4)
    model, plan = fused_models.model_bytes(ops), fused_models.stacked_plan(ops)
    elf = tmp_path / "firmware.elf"
    build_model(model, board, elf, plan=plan)
    qemu, unicorn = QemuEmulator(board, elf), Emulator(board, elf)
    shape = (2, *qemu.model.image_shape)
    images = np.random.default_rng(3).integers(-128, 128, shape, np.int8)
    for image, expected in zip(images, HostModel(model, plan).run(images), strict=True):
        got, other = qemu.classify(image), unicorn.classify(image)
        np.testing.assert_array_equal(got.logits, expected)
        # Not within something: the same, operator by operator, and the stack too.
        assert (got.instructions, got.operators) == (other.instructions, other.operators)
    assert qemu.stack_high_water_bytes() == unicorn.stack_high_water_bytes()
    qemu.close()


@pytest.mark.parametrize("fpu", ["double", "none"])
@pytest.mark.parametrize("weights_in", ["internal", "external"])
@pytest.mark.parametrize("name", HELIUM_BOARDS)
def test_a_network_computes_on_a_core_with_helium(tmp_path, name, weights_in, fpu):
    """Another order of weights, other kernels, weights in a memory of their own; integers only."""
    board = get_board(name)
    unit = next(unit for unit in board.core.cpu.fpus if unit.word == fpu)
    board = dataclasses.replace(board, core=dataclasses.replace(board.core, unit=unit))
    ops = fused_models.vit_ops(bits=16 if fpu == "double" else 8, rank=4)
    model, plan = fused_models.model_bytes(ops), fused_models.stacked_plan(ops)
    elf = tmp_path / "firmware.elf"
    build_model(model, board, elf, plan=plan, weights_in=weights_in)
    emulator = open_emulator(board, elf)
    assert emulator.elf.has_symbol("vit_mve_gemm")
    assert not emulator.elf.has_symbol("vit_dsp_gemm")
    shape = (2, *emulator.model.image_shape)
    images = np.random.default_rng(3).integers(-128, 128, shape, np.int8)
    for image, expected in zip(images, HostModel(model, plan).run(images), strict=True):
        np.testing.assert_array_equal(emulator.classify(image).logits, expected)


def test_weights_in_another_cores_order_do_not_compile(tmp_path):
    board = get_board(HELIUM_BOARDS[0])
    ops = fused_models.vit_ops()
    model, plan = fused_models.model_bytes(ops), fused_models.stacked_plan(ops)
    compile_model(model, plan).write(tmp_path / "model")
    kernels = kernel_files(board)
    project = make_project(board, tmp_path / "model", kernels, defines=("VIT_WEIGHT_ROWS",))
    with pytest.raises(FirmwareError, match="compiling model") as caught:
        build(project, tmp_path / "firmware.elf")
    assert "weights are in pairs" in caught.value.details


@pytest.mark.parametrize("name", ["microbit", "mps2_an386"])
def test_memory_window_and_console_on_every_kind_of_core(tmp_path, name):
    """`open_emulator` by name; Armv6-M counts its cycles with an interrupt."""
    board, elf = get_board(name), build_on(name, tmp_path, FakeModel(streamed=True))
    emulator = open_emulator(board, elf, engine="qemu")
    assert emulator.banner.strip().startswith(f"{board.title}, ")
    image = fake_model.images(1)[0]
    inference = emulator.classify(image)
    np.testing.assert_array_equal(inference.logits, fake_model.reference(image))
    assert inference.operators[1].instructions >= fake_model.LOOP_INSTRUCTIONS
    assert inference.operators[2].stack_bytes >= fake_model.STACK_BYTES
    emulator.close_window()
    result = Connection(EmulatedSerial(emulator)).classify(image)
    np.testing.assert_array_equal(result.logits, fake_model.reference(image))
    emulator.reset()
    np.testing.assert_array_equal(emulator.classify(image).logits, inference.logits)
    emulator.machine.close()


def test_a_fault_says_where(tmp_path):
    statement = "*(volatile int*)0xA0000000u = 1;"
    elf = build_on("mps2_an386", tmp_path, FakeModel(operator_zero_prologue=statement))
    emulator = QemuEmulator(get_board("mps2_an386"), elf)
    with pytest.raises(GuestFault, match=r"mps2_an386: BusFault, pc 0x[0-9a-f]{8} in "):
        emulator.classify(fake_model.images(1)[0])


def test_firmware_that_hangs_is_stopped(tmp_path):
    model = FakeModel(operator_zero_prologue='for (;;) __asm volatile("");')
    emulator = QemuEmulator(
        get_board("mps2_an386"), build_on("mps2_an386", tmp_path, model), limit=10_000_000
    )
    with pytest.raises(GuestFault, match="more than 10,000,000 instructions, pc 0x"):
        emulator.classify(fake_model.images(1)[0])


def test_what_qemu_does_not_have_is_refused(build_fake, monkeypatch):
    built = build_fake(FakeModel())
    with pytest.raises(FirmwareError, match="stm32f746g_disco has no key qemu"):
        QemuEmulator(built.board, built.elf)
    with pytest.raises(FirmwareError, match="use --engine=unicorn"):
        open_emulator(built.board, built.elf, engine="qemu", strict=True)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FirmwareError, match=f"{PROGRAM} is not on the PATH; install it"):
        QemuEmulator(get_board("mps2_an386"), built.elf)


@pytest.mark.parametrize("name", untested_board_names())
def test_images_link_for_boards_on_which_nothing_ran(tmp_path, name):
    board = get_board(name)
    assert "UNTESTED" in board.notes[0]
    assert build_on(name, tmp_path).is_file()
