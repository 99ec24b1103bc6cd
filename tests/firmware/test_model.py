# SPDX-License-Identifier: Apache-2.0
"""Fused models on the emulated board: every logit equals the host runtime's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from boards import board_names, get_board
from converter.runtimes import RuntimeUnavailableError, open_runtime
from converter.runtimes.host import HostModel
from firmware import emulate
from firmware.build_elf import build
from firmware.emulator.emulator import Emulator
from firmware.errors import FirmwareError
from firmware.model import build_model, project_from_model
from tests.converter.compile import fused_models
from tests.firmware import fake_model

BOARD = get_board("stm32f746g_disco")


def model_and_plan(streamed=False, **parameters):
    ops = fused_models.vit_ops(**parameters)
    return fused_models.model_bytes(ops), fused_models.stacked_plan(ops, streamed)


def images_for(emulator, count):
    shape = (count, *emulator.model.image_shape)
    return np.random.default_rng(11).integers(-128, 128, shape, np.int8)


@pytest.mark.parametrize("streamed", [False, True], ids=["resident", "streamed"])
@pytest.mark.parametrize(
    ("parameters", "weights"),
    [
        ({}, "internal"),
        ({"bits": 16, "with_cls": True}, "internal"),
        ({"rank": 4, "seed": 3}, "external"),
    ],
    ids=["int8", "int16-cls", "low-rank-external"],
)
def test_every_logit_equals_the_host(tmp_path, streamed, parameters, weights):
    model, plan = model_and_plan(streamed, **parameters)
    elf = tmp_path / "firmware.elf"
    use = build_model(model, BOARD, elf, weights_in=weights, plan=plan)
    # Strict: the kernels' LDM and LDRD must find their operands aligned on the real core too.
    emulator = Emulator(BOARD, elf, strict=True)
    images = images_for(emulator, 6)
    expected = HostModel(model, plan).run(images)
    got = np.stack([emulator.classify(image).logits for image in images])
    np.testing.assert_array_equal(got, expected)
    assert len(np.unique(got, axis=0)) > 1, "the images do not tell the logits apart"
    assert (use.external_flash_bytes > 0) == (weights == "external")
    assert emulator.sram_total_bytes() - use.arena_bytes < 8192
    names = [count.name for count in emulator.operator_counts()]
    assert len(names) == len(emulator.operator_names) == 7
    assert sum(count.instructions > 0 for count in emulator.operator_counts()) == 7


@pytest.mark.parametrize("name", board_names())
def test_every_board_equals_the_host(tmp_path, name):
    model, plan = model_and_plan(streamed=True, seed=4, bits=16)
    board = get_board(name)
    elf = tmp_path / "firmware.elf"
    build_model(model, board, elf, plan=plan)
    emulator = Emulator(board, elf)
    images = images_for(emulator, 3)
    got = np.stack([emulator.classify(image).logits for image in images])
    np.testing.assert_array_equal(got, HostModel(model, plan).run(images))


def board_with_flash(size_bytes):
    regions = tuple(
        dataclasses.replace(region, size_bytes=size_bytes) if region.name == "FLASH" else region
        for region in BOARD.regions
    )
    return dataclasses.replace(BOARD, regions=regions)


def test_weights_that_exceed_internal_flash_go_to_qspi(tmp_path):
    model, plan = model_and_plan()
    elf = tmp_path / "firmware.elf"
    assert build_model(model, BOARD, elf, plan=plan).external_flash_bytes == 0
    # 98 KB leave less for weights than the model has, beside what is kept for code.
    use = build_model(model, board_with_flash(98 * 1024), elf, plan=plan)
    assert use.external_flash_bytes > 2048
    with pytest.raises(FirmwareError, match=r"FLASH.* overflowed by"):
        build_model(
            model,
            board_with_flash(24 * 1024),
            tmp_path / "b.elf",
            weights_in="internal",
            plan=plan,
        )
    assert not (tmp_path / "b.elf").exists()


def test_unusable_models_are_one_line(tmp_path):
    with pytest.raises(FirmwareError):
        build_model(b"no model", BOARD, tmp_path / "firmware.elf")
    with pytest.raises(RuntimeUnavailableError, match="emulated: "):
        open_runtime("emulated", b"no model")


def test_command_line(tmp_path, build_fake, capsys):
    built = build_fake()
    options = emulate._Options(
        board="stm32f746g_disco",
        elf=str(built.elf),
        model="",
        weights_in="auto",
        runtime="compiled",
        engine="auto",
        images=[],
        count=0,
        console=True,
        profile=True,
        strict=True,
        timeout=60.0,
        json="",
    )
    report = emulate.emulate(options)
    assert report["instructions_per_inference"] > 200_000
    assert [row["name"] for row in report["operators"]] == ["project", "loop", "stack"]
    assert report["functions"][0]["name"] == "fake_loop"
    assert "216 MHz" in capsys.readouterr().out
    # Of several images the functions' counts are of one inference too.
    np.save(tmp_path / "three.npy", np.repeat(fake_model.images(1), 3, axis=0))
    np.save(tmp_path / "one.npy", fake_model.images(1))
    files = [[str(tmp_path / name)] for name in ("one.npy", "three.npy")]
    one, three = (emulate.emulate(dataclasses.replace(options, images=f)) for f in files)
    assert len(three["images"]) == 3
    assert three["functions"] == one["functions"]


def test_debug_firmware_obeys_its_plan(tmp_path):
    """Dead bytes hold poison: two poisons, the same logits, no violation."""
    model, plan = model_and_plan(seed=2)
    elf = tmp_path / "firmware.elf"
    build_model(model, BOARD, elf, plan=plan, debug=True)
    emulator = Emulator(BOARD, elf)
    image = images_for(emulator, 1)[0]
    expected = HostModel(model, plan).run(image[np.newaxis])[0]
    for poison in (0xA5, 0x3B):
        emulator.set_poison(poison)
        np.testing.assert_array_equal(emulator.classify(image).logits, expected)
        assert emulator.plan_violation() is None


def test_debug_firmware_finds_a_planted_fault(tmp_path):
    """The second attention block also writes a byte that nobody owns."""
    model, plan = model_and_plan(seed=2)
    project = project_from_model(model, BOARD, tmp_path / "work", plan=plan, debug=True)
    source = tmp_path / "work" / "model" / "vit_model.c"
    text = source.read_text()
    mark = "  end_op(arena, 3, hook, context);"
    assert text.count(mark) == 1
    # By then the image is consumed: its place is dead.
    source.write_text(text.replace(mark, f"  arena[5] ^= 1;\n{mark}"))
    build(project, tmp_path / "firmware.elf")
    emulator = Emulator(BOARD, tmp_path / "firmware.elf")
    emulator.set_poison(0xA5)
    emulator.classify(images_for(emulator, 1)[0])
    violation = emulator.plan_violation()
    assert violation is not None
    assert (violation.operator, violation.offset) == (emulator.operator_names[3], 5)
    assert "dead" in violation.what
