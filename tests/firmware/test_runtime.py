# SPDX-License-Identifier: Apache-2.0
"""The emulated runtime behind `open_runtime`: any model that fits a Cortex-M7's memory map."""

from __future__ import annotations

import json

import numpy as np
import pytest

from boards import get_board
from boards.generic import generic_cortex_m7
from converter.inspect.report import firmware_budgets, inspect_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from firmware.connection import Connection
from firmware.elf import Elf
from firmware.emulator.emulator import Emulator
from firmware.emulator.serial_line import EmulatedSerial
from firmware.errors import FirmwareError
from firmware.export import export_project
from firmware.model import build_model, project_from_model
from firmware.runtime import EmulatedRuntime
from tests.commands import run_here
from tests.converter.compile import fused_models
from tests.converter.compile.fused_models import ImageShape
from tests.converter.runtimes.edges import INT8, INT16, UINT8, Edges, random_array

BOARD = get_board("stm32f746g_disco")


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
        EmulatedRuntime(model, board=BOARD)
    emulated, host = open_runtime("emulated", model), open_runtime("host", model)
    image = images_for(host, 1)[0]
    np.testing.assert_array_equal(emulated.run(image)[0], host.run(image)[0])


def test_more_than_the_memory_map_is_one_line():
    with pytest.raises(ValueError, match=r"arena: got .* expected at most 536870912"):
        generic_cortex_m7(600 << 20, 0)
    with pytest.raises(ValueError, match=r"weights: got .* expected at most 402653184"):
        generic_cortex_m7(0, 400 << 20)


def test_several_inputs_and_outputs_of_every_type():
    """A model that takes no image: float, uint8, int16 and int8 in, and float out beside others."""
    graph = Edges()
    a = graph.x((3, 5), np.float32)
    b = graph.x((15,), np.uint8, UINT8)
    c = graph.x((1, 3, 5, 1), np.int16, INT16)
    inner = [graph.quantize(x, np.int8, INT8) for x in (a, b, c)]
    new_shape = {"options": "ReshapeOptions", "newShape": np.array([15], np.int32)}
    flat = [graph.op("RESHAPE", (x,), (15,), np.int8, INT8, **new_shape) for x in inner]
    total = graph.op("ADD", (flat[0], flat[1]), (15,), np.int8, (0.1, 4), "AddOptions")
    last = graph.op("ADD", (total, flat[2]), (15,), np.int8, (0.1, 0), "AddOptions")
    outputs = (graph.dequantize(last), total, graph.quantize(last, np.int16, INT16))
    model = plan_model(graph.content(*outputs)).model_bytes
    runtimes = [open_runtime(name, model, 2) for name in ("reference", "host", "emulated")]
    rng = np.random.default_rng(8)
    stacks = [random_array(rng, (3, *spec.shape), spec.dtype) for spec in runtimes[0].inputs]
    expected, *others = [runtime.run_batch(*stacks) for runtime in runtimes]
    assert len(np.unique(expected[0])) > 5
    for got in others:
        for y, z in zip(got, expected, strict=True):
            assert y.dtype == z.dtype
            np.testing.assert_array_equal(y, z)


@pytest.mark.parametrize("name", ["cmake", "stm32cubeide", "mbed"])
def test_an_exported_project_says_how_its_inputs_go_in(tmp_path, name):
    graph = Edges()
    x = graph.x((2, 7), np.float32)
    model = plan_model(graph.content(graph.quantize(x, np.int8, INT8))).model_bytes
    for content, text in ((model, "takes no int8 image"), (planned(), "firmware.client")):
        folder = tmp_path / text.replace(" ", "_")
        project = project_from_model(content, BOARD, folder / "work", name="net")
        export_project(project, name, folder / "out", check=False)
        readme = (folder / "out" / "README.md").read_text()
        assert text in readme
        assert ("firmware.client" in readme) == (text == "firmware.client")


def test_the_console_serves_a_model_without_images(tmp_path):
    """Its rows are pieces of the inputs; FINISH replies with the bytes of all outputs."""
    graph = Edges()
    a, b = graph.x((2, 700), np.int8, INT8), graph.x((1400,), np.uint8, UINT8)
    y = graph.op("ADD", (a, a), (2, 700), np.int8, (0.1, 4), "AddOptions")
    z = graph.quantize(b, np.int8, INT8)
    model = plan_model(graph.content(z, y)).model_bytes
    build_model(model, BOARD, tmp_path / "firmware.elf")
    emulator = Emulator(BOARD, tmp_path / "firmware.elf")
    connection = Connection(EmulatedSerial(emulator))
    info = connection.info().model
    assert (info.is_image, info.input_bytes, info.classes) == (False, 2800, 2800)
    with pytest.raises(FirmwareError, match="takes no int8 image"):
        info.expect_image()
    rng = np.random.default_rng(1)
    inputs = [random_array(rng, (2, 700), np.int8), random_array(rng, (1400,), np.uint8)]
    rows = np.concatenate([x.reshape(-1).view(np.int8) for x in inputs])
    result = connection.classify(rows.reshape(info.image_height, info.image_width, 1))
    expected = open_runtime("reference", model).run(*inputs)
    want = np.concatenate([e.reshape(-1) for e in expected])
    np.testing.assert_array_equal(result.logits, want)
    assert result.best_class == int(np.argmax(expected[0]))
    assert "2 inputs of 2800 bytes, 2 outputs of 2800 bytes" in emulator.banner


def test_emulate_takes_any_inputs(tmp_path):
    """Two inputs and two outputs of several types, as arrays, equal the host's; and zeros."""
    graph = Edges()
    a, b = graph.x((1, 40), np.int8, INT8), graph.x((30,), np.uint8, UINT8)
    y = graph.op("ADD", (a, a), (1, 40), np.int8, (0.1, 4), "AddOptions")
    content = plan_model(graph.content(graph.quantize(b, np.int16, INT16), y)).model_bytes
    model, report = tmp_path / "two.tflite", tmp_path / "report.json"
    model.write_bytes(content)
    host = open_runtime("host", content)
    rng = np.random.default_rng(4)
    stacks = [random_array(rng, (3, *spec.shape), spec.dtype) for spec in host.inputs]
    one = [np.zeros(spec.shape, spec.dtype)[None] for spec in host.inputs]
    for name, stack in zip("ab", stacks, strict=True):
        np.save(tmp_path / f"{name}.npy", stack)
    np.save(tmp_path / "without_batch.npy", stacks[0][:, 0])
    np.save(tmp_path / "fewer.npy", stacks[1][:2])
    emulate = ("firmware.emulate", f"--model={model}")

    def inputs(*names: str) -> str:
        return "--arrays=" + ",".join(str(tmp_path / f"{name}.npy") for name in names)

    for words, fed in (
        ((inputs("a", "b"),), stacks),
        ((inputs("without_batch", "b"), "--count=2"), [stack[:2] for stack in stacks]),
        ((), one),
    ):
        done = run_here(*emulate, *words, f"--json={report}")
        assert done.returncode == 0, done.stderr
        found = [row["outputs"] for row in json.loads(report.read_text("utf-8"))["images"]]
        expected = zip(*(y.reshape(len(y), -1).tolist() for y in host.run_batch(*fed)), strict=True)
        assert found == list(map(list, expected))
    for words, text in (
        (inputs("a"), f"--arrays: got 1 files, expected one for each input of {model}: int8 [1, "),
        (inputs("a", "a"), "a.npy: got int8 [3, 1, 40], expected uint8 [N, 30]"),
        (inputs("a", "fewer"), "--arrays: got [2, 3] examples, expected as many of each"),
        (f"--images={tmp_path / 'a.npy'}", "the model takes no int8 image; run it with"),
    ):
        assert text in run_here(*emulate, words).stderr


def test_a_small_arena_lies_in_dtcm(tmp_path):
    """On the H743, where the linker and `inspect` have it, and with the same logits."""
    model, board = planned(), get_board("nucleo_h743zi2")
    elf = tmp_path / "firmware.elf"
    build_model(model, board, elf)
    dtcm = board.region("DTCM")
    assert dtcm.base <= Elf(elf).address("arena") < dtcm.end
    fit = firmware_budgets(inspect_model(model), board).fit
    assert fit is not None
    assert fit.board.arena_region == "DTCM"
    emulated = EmulatedRuntime(model, board=board)
    image = images_for(emulated, 1)[0]
    np.testing.assert_array_equal(emulated.run(image)[0], open_runtime("host", model).run(image)[0])
