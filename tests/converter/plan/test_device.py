# SPDX-License-Identifier: Apache-2.0
"""The device's plan is accepted by the C++ planner, and strips need no more than the plan says."""

import ctypes
import pathlib
import subprocess

import numpy as np
import pytest

from converter.plan import PlanError, plan_model
from converter.plan.device import device_plan
from converter.plan.problem import PlanRegion
from converter.plan.strip import strip_model
from converter.runtimes.host import HostModel
from converter.runtimes.tflm import build
from converter.runtimes.tflm.streamed import StripInterpreter
from keras_models.presets import PRESETS
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.plan.vit_models import fused_model

HARNESS = pathlib.Path(__file__).with_name("planner_harness.cc")
HEADER_WORDS, BUFFER_WORDS = 6, 6


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    library = tmp_path_factory.mktemp("planner") / "planner.so"
    sources = [HARNESS, build.PACKAGE / "planned_memory_planner.cc"]
    command = [build.find_toolchain().cxx, "-std=c++17", "-shared", "-fPIC", "-O1"]
    command += ["-DTF_LITE_STATIC_MEMORY", f"-I{build.REPOSITORY}", f"-I{build.PACKAGE / 'abi'}"]
    subprocess.run([*command, *map(str, sources), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def run(planner, words, model, buffers, arena_bytes):
    """0 or the failing step of the C++ planner, and its offsets."""
    arena = np.zeros(arena_bytes + 16, np.uint8)
    start = arena.ctypes.data + -arena.ctypes.data % 16
    offsets = np.full(len(buffers), -1, np.int32)
    wanted = np.ascontiguousarray(buffers[:, :3])
    step = planner.run_planner(
        words.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(words)),
        ctypes.c_void_p(start), ctypes.c_size_t(arena_bytes),
        model, ctypes.c_size_t(len(model)),
        wanted.ctypes.data_as(ctypes.c_void_p), len(wanted),
        offsets.ctypes.data_as(ctypes.c_void_p),
    )  # fmt: skip
    return step, offsets


@pytest.mark.parametrize("preset", ["vit_t_240", "test_cls", "test_lowrank", "test_padding"])
@pytest.mark.parametrize("streamed", [False, True])
def test_the_device_accepts_the_plan_and_nothing_smaller(planner, preset, streamed):
    planned = plan_model(fused_model(PRESETS[preset], 16), streamed)
    device = device_plan(planned.model_bytes)
    buffers = device.words[HEADER_WORDS + 1 :].reshape(-1, BUFFER_WORDS)
    step, offsets = run(planner, device.words, device.model_bytes, buffers, device.region_bytes[0])
    assert step == 0
    assert offsets.tolist() == buffers[:, 4].tolist()
    assert device.region_bytes[0] == planned.plan.arena_bytes
    overwriting = int((buffers[:, 5] >= 0).sum())
    assert overwriting >= 2 * PRESETS[preset].depth
    step, _ = run(planner, device.words, device.model_bytes, buffers, device.region_bytes[0] - 16)
    assert step != 0
    moved = device.words.copy()  # scratch onto the tokens of the same step
    scratch = HEADER_WORDS + 1 + BUFFER_WORDS * (len(buffers) - 2) + 4
    moved[scratch] = offsets[1]
    assert run(planner, moved, device.model_bytes, buffers, device.region_bytes[0])[0] != 0


def test_builtin_operators_have_unknown_scratch():
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(size=(1, 4, 6)))
    planned = plan_model(g.finish(g.add(x, x)))
    with pytest.raises(PlanError, match="op 0 ADD is a builtin operator"):
        device_plan(planned.model_bytes)


@pytest.mark.parametrize(("preset", "bits"), [("test_cls", 8), ("test_padding", 16)])
def test_strips_in_tflm_take_the_streamed_arena(preset, bits):
    arch = PRESETS[preset]
    content = fused_model(arch, bits, seed=6)
    planned = plan_model(content, streamed=True)
    strips = StripInterpreter(strip_model(planned.model_bytes, planned.plan.strip.offset))
    assert strips.interpreter.arena_usage.head_bytes == planned.plan.arena_bytes
    shape = (1, arch.image_size, arch.image_size, arch.channels)
    image = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    expected = HostModel(plan_model(content).model_bytes).run(image)
    np.testing.assert_array_equal(strips.invoke(image).reshape(-1), expected[0])


def test_regions_are_filled_fastest_first_and_hold_less_each():
    planned = plan_model(fused_model(PRESETS["vit_t_240"]))
    device = device_plan(planned.model_bytes, (PlanRegion("dtcm", 128 * 1024), PlanRegion("sram")))
    buffers = device.words[HEADER_WORDS + 2 :].reshape(-1, BUFFER_WORDS)
    regions = buffers[:, 3]
    assert device.words[2] == 2
    assert set(regions) == {0, 1}
    assert regions[0] == 1  # the image fits into the second one only
    for region in (0, 1):
        there = buffers[regions == region]
        assert (there[:, 4] + there[:, 0]).max() <= device.region_bytes[region]
    assert device.region_bytes[0] <= 128 * 1024
    assert max(device.region_bytes) <= planned.plan.arena_bytes
    with pytest.raises(PlanError, match=r"regions: t0 .172800 bytes. .* dtcm 163840, sram 65536"):
        device_plan(planned.model_bytes, (PlanRegion("dtcm", 163840), PlanRegion("sram", 65536)))
