# SPDX-License-Identifier: Apache-2.0
"""Fused models on the emulated board: every logit equals the host runtime's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.evaluate.runtimes import RuntimeUnavailableError, create_runtime
from converter.host import HostModel
from firmware import emulate
from firmware.boards import board_names, get_board
from firmware.emulator.emulator import Emulator
from firmware.errors import FirmwareError
from firmware.model import build_model
from tests.converter.compile import fused_models

BOARD = get_board("stm32f746g_disco")


def model_and_layout(streamed=False, **parameters):
    ops = fused_models.vit_ops(**parameters)
    return fused_models.model_bytes(ops), fused_models.stacked_layout(ops, streamed)


def images_for(emulator, count):
    shape = (count, *emulator.model.image_shape)
    return np.random.default_rng(11).integers(-128, 128, shape, np.int8)


@pytest.mark.parametrize("streamed", [False, True], ids=["resident", "streamed"])
@pytest.mark.parametrize(
    ("parameters", "weights"),
    [
        ({}, "internal"),
        ({"bits": 16, "with_cls": True}, "internal"),
        ({"rank": 4, "seed": 3}, "qspi"),
    ],
    ids=["int8", "int16-cls", "low-rank-qspi"],
)
def test_every_logit_equals_the_host(tmp_path, streamed, parameters, weights):
    model, layout = model_and_layout(streamed, **parameters)
    elf = tmp_path / "firmware.elf"
    use = build_model(model, BOARD, elf, weights=weights, layout=layout)
    emulator = Emulator(BOARD, elf)
    images = images_for(emulator, 6)
    expected = HostModel(model, layout).run(images)
    got = np.stack([emulator.classify(image).logits for image in images])
    np.testing.assert_array_equal(got, expected)
    assert len(np.unique(got, axis=0)) > 1, "the images do not tell the logits apart"
    assert (use.external_flash_bytes > 0) == (weights == "qspi")
    assert emulator.sram_total_bytes() - use.arena_bytes < 8192
    names = [count.name for count in emulator.operator_counts()]
    assert len(names) == len(emulator.operator_names) == 7
    assert sum(count.instructions > 0 for count in emulator.operator_counts()) == 7


@pytest.mark.parametrize("name", board_names())
def test_every_board_equals_the_host(tmp_path, name):
    model, layout = model_and_layout(streamed=True, seed=4, bits=16)
    board = get_board(name)
    elf = tmp_path / "firmware.elf"
    build_model(model, board, elf, layout=layout)
    emulator = Emulator(board, elf)
    images = images_for(emulator, 3)
    got = np.stack([emulator.classify(image).logits for image in images])
    np.testing.assert_array_equal(got, HostModel(model, layout).run(images))


def board_with_flash(size_bytes):
    regions = tuple(
        dataclasses.replace(region, size_bytes=size_bytes) if region.name == "FLASH" else region
        for region in BOARD.regions
    )
    return dataclasses.replace(BOARD, regions=regions)


def test_weights_that_exceed_internal_flash_go_to_qspi(tmp_path):
    model, layout = model_and_layout()
    elf = tmp_path / "firmware.elf"
    assert build_model(model, BOARD, elf, layout=layout).external_flash_bytes == 0
    # 98 KB leave less for weights than the model has, beside what is kept for code.
    use = build_model(model, board_with_flash(98 * 1024), elf, layout=layout)
    assert use.external_flash_bytes > 2048
    with pytest.raises(FirmwareError, match=r"FLASH.* overflowed by"):
        build_model(
            model,
            board_with_flash(24 * 1024),
            tmp_path / "b.elf",
            weights="internal",
            layout=layout,
        )
    assert not (tmp_path / "b.elf").exists()


def test_unusable_models_are_one_line(tmp_path):
    with pytest.raises(FirmwareError):
        build_model(b"no model", BOARD, tmp_path / "firmware.elf")
    with pytest.raises(RuntimeUnavailableError, match="emulated: "):
        create_runtime("emulated", b"no model", 1)


def test_command_line(tmp_path, build_fake, capsys):
    built = build_fake()
    options = emulate._Options(
        board="stm32f746g_disco",
        elf=str(built.elf),
        model="",
        weights="auto",
        images=[],
        count=0,
        console=True,
        profile=True,
        json="",
    )
    report = emulate.run(options)
    assert report["instructions_per_inference"] > 200_000
    assert [row["name"] for row in report["operators"]] == ["project", "loop", "stack"]
    assert report["functions"][0]["name"] == "fake_loop"
    assert "216 MHz" in capsys.readouterr().out
