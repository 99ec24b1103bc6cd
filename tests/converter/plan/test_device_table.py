# SPDX-License-Identifier: Apache-2.0
"""The plan that Python writes is the one that the C++ planner on the device reads."""

from __future__ import annotations

import ctypes
import dataclasses
import pathlib
import subprocess

import numpy as np
import pytest

from converter.plan.device_table import BufferPlace, BufferRequest, buffer_requests, encode_table
from converter.runtimes.tflm import build, op_models
from converter.runtimes.tflm.op_models import Activation, CustomOp
from converter.runtimes.tflm.stderr_capture import StderrCapture
from converter.tflite import parse

ARENA_BYTES = 512


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the C++ planner did: 0 or the failing step, the offsets, what it printed."""

    step: int
    offsets: list[int]
    text: str


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The planner and its harness as a shared library."""
    library = tmp_path_factory.mktemp("planner") / "planner.so"
    sources = [pathlib.Path(__file__).with_name("planner_harness.cc")]
    sources.append(build.PACKAGE / "planned_memory_planner.cc")
    command = [build.find_toolchain().cxx, "-std=c++17", "-shared", "-fPIC", "-O1"]
    command += ["-DTF_LITE_STATIC_MEMORY", f"-I{build.REPOSITORY}", f"-I{build.PACKAGE / 'abi'}"]
    subprocess.run([*command, *map(str, sources), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def model() -> bytes:
    """x0 -> op -> x1 -> op -> x2, 96 bytes each."""
    spec = Activation((1, 4, 24))
    return op_models.chain_model(spec, [CustomOp("Any", b"", b"blob", spec)] * 2)


def requests(data: bytes) -> tuple[BufferRequest, ...]:
    return buffer_requests(parse(data).graph, {0: 40, 1: 0})


IN_PLACE = [BufferPlace(0, 0), BufferPlace(0, 0, 0), BufferPlace(0, 0, 1), BufferPlace(0, 96)]


def run(
    planner: ctypes.CDLL,
    words: np.ndarray,
    data: bytes,
    wanted: tuple[BufferRequest, ...],
) -> Outcome:
    arena = np.zeros(ARENA_BYTES + 16, np.uint8)
    start = arena.ctypes.data + -arena.ctypes.data % 16
    buffers = np.array([[r.bytes, r.first_use, r.last_use] for r in wanted], np.int32)
    offsets = np.full(len(wanted), -1, np.int32)
    with StderrCapture() as captured:
        step = planner.run_planner(
            words.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(len(words)),
            ctypes.c_void_p(start),
            ctypes.c_size_t(ARENA_BYTES),
            data,
            ctypes.c_size_t(len(data)),
            buffers.ctypes.data_as(ctypes.c_void_p),
            len(wanted),
            offsets.ctypes.data_as(ctypes.c_void_p),
        )
    return Outcome(step, offsets.tolist(), captured.text)


def test_requests_are_those_of_tflm() -> None:
    # Tensors by index, then scratch; uses count operators from 1 (micro_allocation_info.cc).
    assert requests(model()) == (
        BufferRequest(96, 0, 1, tensor=0),
        BufferRequest(96, 1, 2, tensor=1),
        BufferRequest(96, 2, 2, tensor=2),
        BufferRequest(40, 1, 1, operator=0),
    )


def test_planner_places_what_python_planned(planner: ctypes.CDLL) -> None:
    data = model()
    words = encode_table(data, requests(data), IN_PLACE, [144])
    outcome = run(planner, words, data, requests(data))
    assert outcome.text == ""
    assert outcome.step == 0
    assert outcome.offsets == [0, 0, 0, 96]


def test_plan_of_another_model_is_refused(planner: ctypes.CDLL) -> None:
    data = model()
    words = encode_table(data, requests(data), IN_PLACE, [144])
    other = bytearray(data)
    other[-1] ^= 1
    assert run(planner, words, bytes(other), requests(data)).step == 1
    longer = (*requests(data)[:2], BufferRequest(128, 2, 2), requests(data)[3])
    outcome = run(planner, words, data, longer)
    assert outcome.step == 3
    assert "buffer 2: the model wants 128 bytes" in outcome.text


def test_overlapping_plan_is_refused(planner: ctypes.CDLL) -> None:
    data = model()
    overlapping = [*IN_PLACE[:3], BufferPlace(0, 80)]
    words = encode_table(data, requests(data), overlapping, [144])
    outcome = run(planner, words, data, requests(data))
    assert outcome.step == 2
    assert "overlap while both are alive" in outcome.text


def test_too_large_plan_is_refused(planner: ctypes.CDLL) -> None:
    data = model()
    words = encode_table(data, requests(data), IN_PLACE, [ARENA_BYTES + 16])
    assert "region 0: needs 528 bytes" in run(planner, words, data, requests(data)).text


def test_placements_must_match() -> None:
    data = model()
    with pytest.raises(ValueError, match="got 3, expected 4"):
        encode_table(data, requests(data), IN_PLACE[:3], [144])
