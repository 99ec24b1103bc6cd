# SPDX-License-Identifier: Apache-2.0
"""Libraries over TensorFlow Lite Micro itself: on the host, on the emulated core, two in an image.

Needs ``TFLM_DIR``: a TFLM tree in which its Makefile has built `microlite` for this machine and for
Cortex-M7 (`TARGET=cortex_m_generic TARGET_ARCH=cortex-m7+fp FPU=fpv5-sp-d16`).
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from boards import get_board
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import parse
from firmware.elf import Elf
from firmware.errors import FirmwareError
from firmware.formats import get_library_format
from firmware.library import library_from_model, tflm_library_from_model
from firmware.library.camera import PixelFormat, camera_input, center
from firmware.library.tflm_measure import (
    ANSWER,
    ARENA,
    CAMERA,
    DATA,
    STACK_TOP,
    STATE,
    VIEW,
    Called,
    linked,
)
from firmware.tflm.tree import find_tree
from tests.converter.runtimes.edges import INT8, Edges
from tests.firmware.library import models
from tests.firmware.library.test_library import (
    CALLERS,
    LISTS,
    STATUSES,
    STRICT,
    Foreign,
    expected,
    images,
    images_header,
    numbers,
    scaled,
    symbols,
)

BOARD = get_board("stm32f746g_disco")
TREE = Path(os.environ.get("TFLM_DIR", "/nonexistent"))
_LIBRARY = "lib/libtensorflow-microlite.a"
pytestmark = pytest.mark.skipif(
    not list(TREE.glob(f"gen/linux_*/{_LIBRARY}"))
    or not list(TREE.glob(f"gen/cortex_m_generic_cortex-m7*/{_LIBRARY}")),
    reason="TFLM_DIR (a TFLM tree with libraries for this machine and for cortex-m7) is unset",
)
RUNTIMES = {"tflm": tflm_library_from_model, "compiled": library_from_model}


@pytest.fixture(scope="module", params=["tflm", "compiled"])
def foreign(request, tmp_path_factory) -> Foreign:
    """Three models in a foreign project; the streamed one in either runtime, the others in TFLM."""
    folder = tmp_path_factory.mktemp(f"foreign {request.param}")
    for name, model, runtime in (
        ("first", models.first(), "tflm"),
        ("second", models.second(), request.param),
        ("sums", models.third(), "tflm"),
    ):
        library = RUNTIMES[runtime](model, name, BOARD)
        for file in get_library_format("library").files(library):
            file.write(folder / name)
    shutil.copyfile(CALLERS, folder / "callers.cc")
    (folder / "images.h").write_text(images_header())
    both = "add_subdirectory(first)\nadd_subdirectory(second)"
    (folder / "CMakeLists.txt").write_text(LISTS.replace("add_subdirectory(two_models)", both))
    flags = [f"-DCMAKE_{language}_FLAGS={STRICT}" for language in ("C", "CXX")]
    configure = ["cmake", "-S", ".", "-B", "build", "-DVIT_KERNEL_OPTIMIZATION=-O1", *flags]
    log = ""
    for command in (configure, ["cmake", "--build", "build", "--parallel", "2"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        log += done.stdout + done.stderr
        assert done.returncode == 0, log
    return Foreign(folder, log)


def test_the_same_calls_give_the_same(foreign):
    """The program that calls compiled libraries, unchanged: statuses, outputs, hooks, helpers."""
    lines = foreign.output("callers")
    assert lines[: STATUSES.count("\n")] == STATUSES.splitlines()
    bytes_, int8, sums = images()
    got = [numbers(line) for line in lines if line.startswith("first ")]
    assert got == [expected(models.first(), scaled(image)[None])[0] for image in bytes_]
    seconds = [numbers(line) for line in lines if line.startswith("second ")]
    assert seconds == 2 * expected(models.second(), int8)
    got = [numbers(line) for line in lines if re.match(r"sums\d ", line)]
    assert got == expected(models.third(), *sums)
    calls = int(next(line for line in lines if line.startswith("nested ")).split()[1])
    assert calls == len(parse(models.first()).graph.operators)
    assert "WARNING" not in foreign.log.upper()


def test_nothing_is_written_but_what_the_caller_gives(foreign):
    for path in (foreign.folder / "build").rglob("*.a"):
        sizes = subprocess.run(["size", path], capture_output=True, text=True, check=True).stdout
        assert all(line.split()[2] == "0" for line in sizes.splitlines()[1:]), path
        name = path.stem.removeprefix("lib")
        prefix = {"first": "first_", "second": "second_", "sums": "sums_"}.get(name, "vit_")
        for kind, symbol in symbols(path):
            assert kind not in "BbCcSsGg", (path, symbol)
            # What C++ makes of templates and inline functions is TFLM's, and the same in each.
            assert symbol.startswith(prefix) or "tflm_vit_" in symbol or kind in "WV", symbol


@pytest.mark.parametrize("name", ["first", "second", "third"])
def test_exactly_the_stated_arena_and_stack_suffice(tmp_path, name):
    model = getattr(models, name)()
    library = tflm_library_from_model(model, name, BOARD)
    arena = library.facts.interface.arena_bytes
    elf = Elf(linked(library, BOARD, find_tree(BOARD), tmp_path))
    call = Called(library.facts, elf, BOARD.core.name)
    call("init", ARENA, arena)
    call.core.write(ARENA + arena, b"\xa5" * 64)
    runtime = open_runtime("reference", model)
    rng = np.random.default_rng(1)
    shapes = [tensor.shape for tensor in runtime.inputs]
    for _ in range(2):
        xs = [rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes]
        if name == "third":
            for index, x in enumerate(xs):
                call(f"input{index}", ANSWER)
                call.core.write(call.answer(), x.tobytes())
            call("arena_used", ANSWER)
            assert call.answer() < arena  # TFLM plans, which takes more
            call("invoke")
            outputs = [f"output{index}" for index in range(3)]
        else:
            call("begin")
            call("arena_used", ANSWER)
            assert call.answer() == arena
            row = xs[0].shape[2] * xs[0].shape[3]
            for start in range(0, xs[0].shape[1], 5):
                rows = xs[0][0, start : start + 5]
                call.core.write(DATA, rows.tobytes())
                call("push_rows", DATA, rows.size // row)
            call("finish")
            outputs = ["output"]
        for output, y in zip(outputs, runtime.run(*xs), strict=True):
            call(output, ANSWER)
            got = np.frombuffer(call.core.read(call.answer(), y.size), np.int8)
            np.testing.assert_array_equal(got, y.reshape(-1))
    assert call.stack <= library.facts.stack.size_bytes <= 1.25 * call.stack
    assert call.core.read(ARENA + arena, 64) == b"\xa5" * 64


def test_a_camera_s_rows_reach_the_interpreter(tmp_path):
    """A frame in pieces; the outputs are the reference's of what NumPy makes of the frame."""
    model = models.first()
    library = tflm_library_from_model(model, "first", BOARD)
    facts, image = library.facts, library.facts.interface.image
    call = Called(facts, Elf(linked(library, BOARD, find_tree(BOARD), tmp_path)), BOARD.core.name)
    rng = np.random.default_rng(2)
    call("init", ARENA, facts.interface.arena_bytes)
    size = (image.width, image.height, image.channels)
    for pixels in (PixelFormat.RGB565, PixelFormat.UYVY, PixelFormat.GREY):
        call.stack, call.core.counter.head.lowest_pointer = 0, STACK_TOP
        view = center(pixels, 48, 34, image.width, image.height)
        frame = rng.integers(0, 256, (34, 48 * pixels.pixel_bytes)).astype(np.uint8)
        part = (view.left, view.top, view.width, view.height)
        call.core.write(VIEW, struct.pack("<7H", pixels, 48, 34, *part))
        call("camera_begin", CAMERA, STATE, VIEW, stateful=False)
        for at in range(0, 34, 9):
            rows = frame[at : at + 9]
            call.core.write(DATA, rows.tobytes())
            call("camera_rows", CAMERA, DATA, len(rows), stateful=False)
        assert call.stack <= facts.camera_stack.size_bytes
        call("finish")
        call("output", ANSWER)
        x = camera_input(frame, view, facts.said.pixels, *size)
        (y,) = open_runtime("reference", model).run(x[None])
        got = np.frombuffer(call.core.read(call.answer(), y.size), np.int8)
        np.testing.assert_array_equal(got, y.reshape(-1))


def test_sixteen_bytes_less_are_a_status(tmp_path):
    """Of an arena that another TFLM would fill: nothing is written outside it."""
    library = tflm_library_from_model(models.second(), "second", BOARD)
    arena = library.facts.interface.arena_bytes
    for file in library.files:
        if str(file.path) == "include/second.h":
            less = file.text.replace(f"ARENA_BYTES {arena}u", "ARENA_BYTES 16u")
            object.__setattr__(file, "text", less)
    elf = Elf(linked(library, BOARD, find_tree(BOARD), tmp_path))
    for missing in (16, 32, 256, 1024, arena - 16):
        call = Called(library.facts, elf, BOARD.core.name)
        call.core.write(ARENA + arena - missing, b"\xa5" * 4096)
        call("init", ARENA, arena - missing)
        with pytest.raises(FirmwareError, match="second_begin returned 11"):
            call("begin")
        assert call.core.read(ARENA + arena - missing, 4096) == b"\xa5" * 4096


def test_cmake_warns_of_another_tflm(tmp_path):
    library = tflm_library_from_model(models.third(), "sums", BOARD)
    lists = next(f.text for f in get_library_format("library").files(library)
                 if f.path.name == "CMakeLists.txt")  # fmt: skip
    part = "set(headers" + lists.split("\nset(headers", 1)[1].split("\nadd_library(sums")[0]
    tree = tmp_path / "tree"
    for header in re.search(r"foreach\(header (.*)\)", part)[1].split():
        (tree / header).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TREE / header, tree / header)
    script = tmp_path / "part.cmake"
    for added, warned in ((b"", False), (b"\n", True)):
        path = tree / "tensorflow/lite/micro/micro_allocator.h"
        path.write_bytes(path.read_bytes() + added)
        script.write_text(f"set(TFLM_DIR {tree})\n{part}")
        done = subprocess.run(["cmake", "-P", script], capture_output=True, text=True, check=True)
        assert ("export again with this" in " ".join(done.stderr.split())) == warned


def test_a_builtin_with_scratch_is_planned_by_tflm():
    """MEAN of int8 asks TFLM for scratch that no plan of ours has."""
    graph = Edges()
    x = graph.x((1, 4, 4, 3), np.int8, INT8)
    y = graph.op("ADD", (x, x), (1, 4, 4, 3), np.int8, INT8, "AddOptions")
    axes = graph.tensor((2,), np.int32, None, np.array([1, 2], np.int32))
    z = graph.op("MEAN", (y, axes), (1, 3), np.int8, (0.04, 1), "ReducerOptions", keepDims=False)
    model = plan_model(graph.content(z)).model_bytes
    library = tflm_library_from_model(model, "mean", BOARD)
    assert library.facts.engine.operators() == ["ADD", "MEAN"]
    assert library.facts.stack is not None
