# SPDX-License-Identifier: Apache-2.0
"""The emulated runtime behind `open_runtime`: any model that fits a Cortex-M7's memory map."""

from __future__ import annotations

import numpy as np
import pytest

from boards import get_board
from boards.generic import generic_cortex_m7
from converter.plan import plan_model
from converter.runtimes import open_runtime
from firmware.errors import FirmwareError
from firmware.runtime import EmulatedRuntime
from tests.converter.compile import fused_models
from tests.converter.compile.fused_models import ImageShape


def planned(**parameters) -> bytes:
    return plan_model(fused_models.model_bytes(fused_models.vit_ops(**parameters))).model_bytes


def images_for(runtime, count):
    shape = (count, *runtime.inputs[0].shape)
    return np.random.default_rng(11).integers(-128, 128, shape, np.int8)


def test_all_runtimes_agree_one_by_one_and_in_batches():
    model = planned(bits=16, with_cls=True)
    names = ("reference", "host", "tflm", "emulated")
    runtimes = {name: open_runtime(name, model, threads=2) for name in names}
    images = images_for(runtimes["host"], 5)
    (expected,) = runtimes["reference"].run_batch(images)
    assert (expected.shape, expected.dtype) == ((5, 1, 10), np.dtype(np.int8))
    assert len(np.unique(expected, axis=0)) > 1
    for name, runtime in runtimes.items():
        assert runtime.inputs == runtimes["reference"].inputs
        assert runtime.outputs == runtimes["reference"].outputs
        np.testing.assert_array_equal(runtime.run_batch(images)[0], expected, err_msg=name)
        np.testing.assert_array_equal(runtime.run(images[1])[0], expected[1], err_msg=name)
        assert runtime.run_batch(images[:0])[0].shape == (0, 1, 10)


def test_a_model_larger_than_the_real_board_runs():
    """An image of 480,000 bytes does not fit the STM32F746's 320 KB."""
    model = planned(image=ImageShape(400, 400, 3, 40, 40), dim=8)
    with pytest.raises(FirmwareError, match=r"SRAM.* overflowed by"):
        EmulatedRuntime(model, board=get_board("stm32f746g_disco"))
    emulated, host = open_runtime("emulated", model), open_runtime("host", model)
    image = images_for(host, 1)[0]
    np.testing.assert_array_equal(emulated.run(image)[0], host.run(image)[0])


def test_more_than_the_memory_map_is_one_line():
    with pytest.raises(ValueError, match=r"arena: got .* expected at most 536870912"):
        generic_cortex_m7(600 << 20, 0)
    with pytest.raises(ValueError, match=r"weights: got .* expected at most 402653184"):
        generic_cortex_m7(0, 400 << 20)
