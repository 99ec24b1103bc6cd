# SPDX-License-Identifier: Apache-2.0
"""Predicted SRAM is what the linker says: arena, .data and .bss, to the byte; flash nearly so."""

import dataclasses

import pytest

from boards import Use, board_names, get_board, qemu_board_names
from boards.core import CPUS, CycleCounter
from boards.placement import fill, with_fast_arena
from converter import footprint
from converter.code_size import table
from converter.compile.used import calls_of
from converter.inspect.__main__ import main as inspect
from converter.plan import plan_model, read_plan
from converter.plan.report import flash_report
from firmware.elf import Elf
from firmware.errors import FirmwareError
from firmware.linker_map import kept_sections
from firmware.model import build_model
from keras_models.arch import ArchConfig
from keras_models.presets import PRESETS
from nas.cost.targets import Firmware, Target
from tests.boards.board_files import FLASH, HIGH, board_of
from tests.converter.plan.vit_models import fused_model
from tests.recorded_compiler import difference, recorded_compiler_only

pytestmark = recorded_compiler_only()
KIB = 1024
CODE_ERROR_BYTES = 128  # of flash; the calls' code depends a little on where buffers lie


def surroundings(arch, planned, streamed):
    calls = calls_of(planned.model_problem.graph, planned.model_problem.ops)
    return Firmware(calls, arch.image_size * arch.channels, streamed)


def check_table(board, elf):
    """The kernels are as large as the table says."""
    kept = {k.name: k.size_bytes for k in kept_sections(elf.with_suffix(".map").read_text())}
    sections = table().cores[board.core.name].sections
    stale = [s.name for s in sections if kept.get(s.name, s.size_bytes) != s.size_bytes]
    assert not stale, "run python -m firmware.code_table"


def check_image(planned, arch, board, elf, streamed, weights="internal"):
    """Every figure of an image is the predicted one."""
    model, target = planned.model_bytes, Target.of_board(board)
    use = build_model(model, board, elf, weights_in=weights)
    firmware = surroundings(arch, planned, streamed)
    arena = footprint.arena_bytes(read_plan(model).arena_bytes, streamed)
    assert use.arena_bytes == arena
    assert use.data_bytes + use.bss_bytes + firmware.state_bytes == target.static_bytes(firmware)
    assert use.stack_reserved_bytes == board.stack_bytes == target.stack_bytes
    image = Elf(elf)
    systick = board.core.cycle_counter is CycleCounter.SYSTICK
    extent = footprint.static_extent(
        firmware.operators, firmware.row_bytes, streamed, systick=systick
    )
    assert image.address("__bss_end") - image.address("__data_start") == extent
    sizes = {"stack_bytes": board.stack_bytes, "data_bytes": extent, "arena_bytes": arena}
    for filled in fill(with_fast_arena(board, **sizes), **sizes):
        for part in filled.parts:
            start = {
                Use.STACK: "__stack_bottom", Use.DATA: "__data_start", Use.ARENA: "__arena_start"
            }[part.use]  # fmt: skip
            assert image.address(start) == filled.region.base + part.offset
    constants = flash_report(planned.model_problem, len(model)).constant_bytes
    check_table(board, elf)
    if weights == "internal":
        expected = constants + target.code_bytes(firmware)
        assert abs(use.flash_bytes - expected) <= CODE_ERROR_BYTES


@pytest.mark.parametrize("streamed", [False, True], ids=["resident", "streamed"])
@pytest.mark.parametrize("preset", ["vit_digits", "test_cls", "test_padding", "vit_t_240"])
def test_prediction_equals_the_image(tmp_path, preset, streamed):
    arch = PRESETS[preset]
    planned = plan_model(fused_model(arch), streamed=streamed)
    weights = "external" if preset == "vit_t_240" else "internal"
    board = get_board("stm32f746g_disco")
    check_image(planned, arch, board, tmp_path / "firmware.elf", streamed, weights)


@pytest.mark.parametrize("name", board_names())
def test_code_grows_with_the_operators_as_predicted(tmp_path, name):
    arch = ArchConfig.uniform(
        image_size=8, channels=1, num_classes=4, patch_size=4, embed_dim=8, depth=12, heads=2,
        mlp_ratio=2.0, head_dim=4,
    )  # fmt: skip
    planned = plan_model(fused_model(arch), streamed=True)
    check_image(planned, arch, get_board(name), tmp_path / "firmware.elf", True)


@pytest.mark.parametrize("name", [n for n in board_names() if n != "stm32f746g_disco"])
def test_prediction_equals_the_image_on_the_other_boards(tmp_path, name):
    arch = PRESETS["test_cls"]
    planned = plan_model(fused_model(arch), streamed=True)
    check_image(planned, arch, get_board(name), tmp_path / "firmware.elf", True)


@pytest.mark.parametrize("cpu", CPUS, ids=lambda cpu: cpu.name)
def test_prediction_equals_the_image_on_every_core(tmp_path, cpu):
    """Rows of 13 bytes, so that .bss does not end at a word by itself."""
    arch = dataclasses.replace(PRESETS["test_cls"], image_size=13, channels=1, patch_size=13)
    planned = plan_model(fused_model(arch))
    large = HIGH | {"length": 256 * KIB}
    board = board_of(
        cpu=cpu.name, fpu=cpu.fpus[-1].word, mpu=cpu.mpu, regions=[FLASH, large], place={}
    )
    check_image(planned, arch, board, tmp_path / "firmware.elf", False)


@pytest.mark.parametrize("streamed", [False, True], ids=["resident", "streamed"])
@pytest.mark.parametrize("name", board_names())
def test_the_largest_arena_links_and_the_next_does_not(tmp_path, name, streamed):
    """What the search allows is exactly what the linker takes, on every built-in board."""
    arch, board = PRESETS["test_cls"], get_board(name)
    planned = plan_model(fused_model(arch), streamed=streamed)
    model, firmware = planned.model_bytes, surroundings(arch, planned, streamed)
    target = Target.of_board(board)
    largest = target.arena_bytes(firmware)
    assert largest > 100 * KIB
    plan = read_plan(model)

    def link(arena_bytes):
        grown = dataclasses.replace(plan, arena_bytes=arena_bytes)
        return build_model(model, board, tmp_path / "firmware.elf", plan=grown)

    use = link(largest)
    assert use.arena_bytes == largest + firmware.state_bytes
    region = board.place(Use.ARENA).name
    for excess in (16, 35_600):
        message = rf"does not fit {name}: region `{region}' overflowed by {excess} bytes"
        with pytest.raises(FirmwareError, match=message):
            link(largest + excess)
        said = target.excess(firmware, largest + excess)
        assert said == f"SRAM region {region} by {excess:,} bytes"


@pytest.mark.parametrize("name", [n for n in qemu_board_names() if get_board(n).core.mve])
def test_what_is_not_known_of_a_core_is_refused(name, tmp_path, capsys):
    """Helium's kernels are others, and nobody fitted their cost: no figure of another core's."""
    with pytest.raises(ValueError, match=r"not known on cortex-m55, expected one of .*cortex-m7"):
        table().image_of(get_board(name))
    file = tmp_path / "fused.tflite"
    file.write_bytes(plan_model(fused_model(PRESETS["test_cls"])).model_bytes)
    with pytest.raises(SystemExit):
        inspect([f"--model={file}", f"--board={name}"])
    assert "flash and time are not known on cortex-m55" in capsys.readouterr().err


def test_another_compiler_s_code_is_not_compared():
    ours = "arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20221205"
    theirs = "arm-none-eabi-gcc (15:14.2.rel1-1) 14.2.1 20241119"
    assert difference(ours, ours) == ""
    assert difference(ours, theirs) == "figures are of arm-none-eabi-gcc 12.2.1, here is 14.2.1"
