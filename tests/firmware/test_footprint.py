# SPDX-License-Identifier: Apache-2.0
"""Predicted SRAM is what the linker says: arena, .data and .bss, to the byte."""

import pytest

from boards import get_board
from converter import footprint, tflite
from converter.plan import plan_model, read_plan
from firmware.model import build_model
from keras_models.presets import PRESETS
from tests.converter.plan.vit_models import fused_model


@pytest.mark.parametrize("streamed", [False, True], ids=["resident", "streamed"])
@pytest.mark.parametrize("preset", ["vit_digits", "test_cls", "test_padding", "vit_t_240"])
def test_prediction_equals_the_image(tmp_path, preset, streamed):
    arch = PRESETS[preset]
    model = plan_model(fused_model(arch), streamed=streamed).model_bytes
    board = get_board("stm32f746g_disco")
    use = build_model(model, board, tmp_path / "firmware.elf")
    operators = len(tflite.parse(model).graph.operators)
    row_bytes = arch.image_size * arch.channels
    arena = footprint.arena_bytes(read_plan(model).arena_bytes, streamed)
    assert use.arena_bytes == arena
    predicted = footprint.static_bytes(operators, row_bytes, streamed)
    assert use.data_bytes + use.bss_bytes == predicted
    assert use.stack_reserved_bytes == footprint.STACK_RESERVED_BYTES == board.stack_bytes
