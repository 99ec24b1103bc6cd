# SPDX-License-Identifier: Apache-2.0
"""`--runtime=tflm`: the same model in TFLM's interpreter on the emulated board.

What needs TFLM itself runs where TFLM_DIR names a tree with a library for Cortex-M7.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from boards import get_board
from converter.plan import plan_model, read_plan
from converter.runtimes.host import HostModel
from converter.tflite import parse
from firmware.connection import Connection
from firmware.elf import Elf
from firmware.emulator.emulator import Emulator
from firmware.emulator.serial_line import EmulatedSerial
from firmware.errors import FirmwareError
from firmware.export import export_project
from firmware.model import build_model, project_from_model
from firmware.tflm.model_files import write_model
from firmware.tflm.project import STACK_BYTES
from firmware.tflm.tree import find_tree
from tests.converter.compile import fused_models
from tests.converter.runtimes.edges import INT8, Edges
from tests.firmware import cproject_build
from tests.firmware.test_export import readme_commands, run_commands
from tests.firmware.test_mbed import make_stand_in

BOARD = get_board("stm32f746g_disco")
_PATTERN = "gen/cortex_m_generic_cortex-m7*/lib/libtensorflow-microlite.a"
needs_tflm = pytest.mark.skipif(
    not list(Path(os.environ.get("TFLM_DIR", "/nonexistent")).glob(_PATTERN)),
    reason="TFLM_DIR (a TFLM tree with a library for cortex-m7) is unset",
)


def profiles():
    """TFLM's release build calls no profiler."""
    return "_release" not in str(find_tree(BOARD).library)


@pytest.fixture(scope="module")
def model():
    return plan_model(fused_models.model_bytes(fused_models.vit_ops(bits=16))).model_bytes


def test_unset_tflm_dir_is_one_line(model, tmp_path, monkeypatch):
    monkeypatch.delenv("TFLM_DIR", raising=False)
    with pytest.raises(FirmwareError, match="--runtime=tflm needs TFLM_DIR"):
        build_model(model, BOARD, tmp_path / "firmware.elf", runtime="tflm")
    monkeypatch.setenv("TFLM_DIR", str(tmp_path))
    with pytest.raises(FirmwareError, match=r"has no gen/cortex_m_generic_cortex-m7"):
        build_model(model, BOARD, tmp_path / "firmware.elf", runtime="tflm")


def test_generated_files_hold_plan_and_operators(model, tmp_path):
    plan = read_plan(model)
    assert write_model(model, tmp_path, external=False, tail_bytes=100) == plan.arena_bytes
    header = (tmp_path / "vit_model.h").read_text()
    assert f"#define VIT_MODEL_ARENA_BYTES {plan.arena_bytes + 112}\n" in header
    assert (tmp_path / "vit_model_weights.bin").read_bytes() == model
    resolver = (tmp_path / "vit_model_resolver.h").read_text()
    added = re.findall(r'AddCustom\("(\w+)"', resolver)
    assert added == ["VitAttention", "VitLayerNorm", "VitLinear", "VitMlp", "VitPatchEmbed"]
    assert "#define VIT_MODEL_RESOLVER_OPERATORS 5\n" in resolver
    table = (tmp_path / "vit_model_plan.h").read_text().split("= {")[1].split("}")[0]
    words = [int(word) for word in table.replace(",", " ").split()]
    buffers = np.array(words[7:]).reshape(-1, 6)
    planned = [s.offset for s in plan.tensors if s] + [s.offset for s in plan.scratch if s]
    assert buffers[:, 4].tolist() == planned
    # The tokens of each block overwrite those of the block before it.
    assert (buffers[2:6, 5] == [1, 2, 3, 4]).all()


# Strips that share rows, with padding above and below, and rows that no patch reads.
OVERLAPPING = fused_models.ImageShape(height=18, width=12, patch=5, stride=3, pad=1)
APART = fused_models.ImageShape(height=23, width=12, patch=3, stride=5)


def streamed_model(image=None):
    ops = fused_models.vit_ops(image=image)
    return plan_model(fused_models.model_bytes(ops), streamed=True).model_bytes


@pytest.mark.parametrize("image", [None, OVERLAPPING, APART], ids=["tiled", "overlapping", "apart"])
def test_generated_files_of_a_streamed_model(tmp_path, image):
    """The embedded file takes a strip; the table says which rows of the image each run is given."""
    model = streamed_model(image)
    shape = image or fused_models.ImageShape()
    plan = read_plan(model)
    assert write_model(model, tmp_path, external=False) == plan.arena_bytes
    graph = parse((tmp_path / "vit_model_weights.bin").read_bytes()).graph
    strip = graph.tensors[graph.inputs[0]].shape
    assert strip == (1, shape.patch, shape.width, shape.channels)
    header = (tmp_path / "vit_model_plan.h").read_text()
    size = (tmp_path / "vit_model_weights.bin").stat().st_size
    assert f"#define VIT_MODEL_FILE_BYTES {size}u\n" in header
    table = header.split("vit_model_strips[VIT_MODEL_STRIPS] = {")[1].split("};")[0]
    rows = [tuple(map(int, pair)) for pair in re.findall(r"{(\d+), (\d+)}", table)]
    down, _ = shape.grid
    starts = [max(0, s * shape.stride - shape.pad) for s in range(down)]
    assert rows == [(first, min(shape.patch, shape.height - first)) for first in starts]
    text = (tmp_path / "vit_model.h").read_text()
    assert "#define VIT_MODEL_STREAMED 1\n" in text
    assert text.count("#define VIT_MODEL_OK 0") == 1
    assert f"#define VIT_MODEL_INPUT_BYTES {shape.height * 36}\n" in text


def test_unplanned_models_are_refused(tmp_path):
    model = fused_models.model_bytes(fused_models.vit_ops())
    with pytest.raises(FirmwareError, match="plan"):
        write_model(model, tmp_path / "out", external=False)
    assert not (tmp_path / "out").exists()


@needs_tflm
@pytest.mark.parametrize("weights", ["internal", "external"])
def test_tflm_equals_the_compiled_runtime(model, tmp_path, weights):
    elf = tmp_path / "tflm.elf"
    use = build_model(model, BOARD, elf, weights_in=weights, runtime="tflm")
    emulator = Emulator(BOARD, elf)
    shape = (4, *emulator.model.image_shape)
    images = np.random.default_rng(9).integers(-128, 128, shape, np.int8)
    got = np.stack([emulator.classify(image).logits for image in images])
    np.testing.assert_array_equal(got, HostModel(model).run(images))
    # The arena is exactly what TFLM took, rounded to its alignment.
    used = emulator.machine.read_u32(emulator.elf.address("vit_model_arena_used_bytes"))
    assert used <= use.arena_bytes < used + 16
    assert use.arena_bytes > read_plan(model).arena_bytes
    assert all(count.instructions > 0 for count in emulator.operator_counts()) == profiles()
    assert (use.external_flash_bytes > len(model) // 2) == (weights == "external")


@needs_tflm
@pytest.mark.parametrize("image", [None, OVERLAPPING, APART], ids=["tiled", "overlapping", "apart"])
def test_streamed_tflm_equals_the_host(tmp_path, image):
    model = streamed_model(image)
    elf = tmp_path / "tflm.elf"
    use = build_model(model, BOARD, elf, runtime="tflm")
    emulator = Emulator(BOARD, elf)
    assert emulator.model.streamed
    shape = (3, *emulator.model.image_shape)
    images = np.random.default_rng(4).integers(-128, 128, shape, np.int8)
    expected = HostModel(model).run(images)
    got = np.stack([emulator.classify(image).logits for image in images])
    np.testing.assert_array_equal(got, expected)
    assert len(np.unique(got, axis=0)) > 1
    # Operator 0 ran once for each strip, all others once.
    down, _ = (image or fused_models.ImageShape()).grid
    counts = emulator.operator_counts()
    if profiles():
        assert [count.calls for count in counts] == [down] + [1] * (len(counts) - 1)
    # The arena holds a strip, not the image.
    used = emulator.machine.read_u32(emulator.elf.address("vit_model_arena_used_bytes"))
    assert used <= use.arena_bytes < used + 16
    emulator.close_window()
    # A reset of the line in the middle of an image starts a new one.
    result = Connection(EmulatedSerial(emulator)).classify(images[1])
    np.testing.assert_array_equal(result.logits, expected[1])


def builtin_model():
    """An image, and one builtin operator."""
    graph = Edges()
    x = graph.x((1, 4, 4, 3), np.int8, INT8)
    return plan_model(
        graph.content(graph.op("ADD", (x, x), (1, 4, 4, 3), np.int8, INT8, "AddOptions"))
    ).model_bytes


def test_where_tflm_plans_the_arena_has_room_for_it(tmp_path):
    """TFLM's planner keeps its notes in the buffers, which are smaller here."""
    model = builtin_model()
    plan = write_model(model, tmp_path, external=False, tail_bytes=1024)
    arena = int(re.search(r"ARENA_BYTES (\d+)", (tmp_path / "vit_model.h").read_text())[1])
    tensors = len(parse(model).graph.tensors)
    assert arena == plan + 1024 + 64 * (tensors + 2) - plan
    assert "VIT_MODEL_PLAN_WORDS 0u" in (tmp_path / "vit_model_plan.h").read_text()


@needs_tflm
def test_a_builtin_operator_equals_the_host(tmp_path):
    model = builtin_model()
    elf = tmp_path / "tflm.elf"
    build_model(model, BOARD, elf, runtime="tflm")
    emulator = Emulator(BOARD, elf)
    image = np.random.default_rng(2).integers(-128, 128, emulator.model.image_shape, np.int8)
    (expected,) = HostModel(model).run(image[np.newaxis])
    np.testing.assert_array_equal(emulator.classify(image).logits, expected.reshape(-1))


@needs_tflm
@pytest.mark.parametrize("configuration", ["Debug", "Release"])
def test_cube_ide_project_builds_from_its_cproject_alone(tmp_path, configuration, monkeypatch):
    model = streamed_model()
    project = project_from_model(model, BOARD, tmp_path / "work", runtime="tflm", name="digits")
    out = tmp_path / "out"
    export_project(project, "stm32cubeide", out, check=False)
    shutil.rmtree(tmp_path / "work")
    monkeypatch.delenv("TFLM_DIR")
    emulator = Emulator(BOARD, cproject_build.build(out, configuration))
    image = np.full(emulator.model.image_shape, 7, np.int8)
    expected = HostModel(model).run(image[np.newaxis])[0]
    np.testing.assert_array_equal(emulator.classify(image).logits, expected)
    assert emulator.stack_high_water_bytes() < STACK_BYTES * 7 // 8


@needs_tflm
@pytest.mark.skipif(shutil.which("ninja") is None, reason="ninja is not installed")
def test_mbed_project_links_against_a_stand_in(model, tmp_path, monkeypatch):
    project = project_from_model(model, BOARD, tmp_path / "work", runtime="tflm", name="digits")
    out = tmp_path / "out"
    export_project(project, "mbed", out, check=False)
    shutil.rmtree(tmp_path / "work")
    monkeypatch.delenv("TFLM_DIR")
    make_stand_in(out)
    command = "cmake -S . -B build -GNinja -DMBED_TARGET=DISCO_F746NG -DCMAKE_BUILD_TYPE=Release"
    run_commands(out, [command, "cmake --build build"])
    elf = Elf(next(p for p in (out / "build").iterdir() if p.name in ("digits", "digits.elf")))
    for name in ("main", "vit_model_setup", "vit_model_invoke"):
        assert elf.has_symbol(name), name


@needs_tflm
@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_exported_project_needs_no_tree(model, tmp_path, monkeypatch):
    project = project_from_model(model, BOARD, tmp_path / "work", runtime="tflm", name="digits")
    use = export_project(project, "cmake", tmp_path / "out")
    shutil.rmtree(tmp_path / "work")
    monkeypatch.delenv("TFLM_DIR")
    run_commands(tmp_path / "out", readme_commands(tmp_path / "out", "Build"))
    emulator = Emulator(BOARD, tmp_path / "out" / "build" / "release" / "digits.elf")
    assert emulator.memory_use() == use
    image = np.full(emulator.model.image_shape, 7, np.int8)
    expected = HostModel(model).run(image[np.newaxis])[0]
    np.testing.assert_array_equal(emulator.classify(image).logits, expected)
