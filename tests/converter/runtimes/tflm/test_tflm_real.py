# SPDX-License-Identifier: Apache-2.0
"""The operators and the memory planner linked with TFLM itself, as on a device.

Needs ``TFLM_DIR``: a TFLM tree in which ``make -f tensorflow/lite/micro/tools/make/Makefile
microlite`` was run for this machine (headers, downloaded headers, static library).
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess

import numpy as np
import pytest

from converter.plan.device_table import BufferPlace, BufferRequest, buffer_requests, encode_table
from converter.runtimes.tflm import build, op_models
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.tflite import parse
from tests.converter.runtimes.tflm.test_tflm_operators import input_spec, network, output_spec
from tflm_custom_ops.ops import Params, operator_of, run_reference
from tflm_custom_ops.sources import KERNELS, kernel_files

TFLM = pathlib.Path(os.environ.get("TFLM_DIR", "/nonexistent"))
# A tree may hold libraries for boards as well; the makefile calls this machine's linux_...
LIBRARIES = sorted(TFLM.glob("gen/linux_*/lib/libtensorflow-microlite.a"))
pytestmark = pytest.mark.skipif(
    not LIBRARIES, reason="TFLM_DIR (a TFLM tree with a library for this machine) is unset"
)
ARENA_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of the program: exit status, arena it reports, output bytes, what it printed."""

    status: int
    arena_used_bytes: int
    output: np.ndarray
    text: str


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Compiles real_tflm_runner.cc with the operators' sources, unchanged, against TFLM_DIR."""
    work = tmp_path_factory.mktemp("real")
    tools = build.find_toolchain()
    objects = []
    for source in kernel_files(".c"):
        target = work / f"{source.name}.o"
        command = [
            tools.cc,
            "-std=c11",
            "-O2",
            f"-I{build.REPOSITORY}",
            f"-I{KERNELS}",
            "-c",
            str(source),
        ]
        subprocess.run([*command, "-o", str(target)], check=True)
        objects.append(str(target))
    downloads = TFLM / "tensorflow/lite/micro/tools/make/downloads"
    includes = [TFLM, downloads / "flatbuffers/include", downloads / "gemmlowp", downloads / "ruy"]
    sources = [*build.PACKAGE.glob("vit_*.cc"), build.PACKAGE / "op_support.cc"]
    sources += [build.PACKAGE / "planned_memory_planner.cc"]
    sources += [pathlib.Path(__file__).with_name("real_tflm_runner.cc")]
    program = work / "runner"
    command = [tools.cxx, "-std=c++17", "-O2", "-fno-rtti", "-DTF_LITE_STATIC_MEMORY", "-Wall"]
    command += [f"-I{build.REPOSITORY}", *(f"-isystem{path}" for path in includes)]
    command += [*map(str, sources), *objects, str(LIBRARIES[0]), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def run(
    runner: pathlib.Path, folder: pathlib.Path, model: bytes, x: np.ndarray, plan: np.ndarray | None
) -> Run:
    files = [folder / name for name in ("model", "input", "output", "plan")]
    files[0].write_bytes(model)
    files[1].write_bytes(x.tobytes())
    files[2].write_bytes(b"")
    command = [str(runner), *map(str, files[:3]), str(ARENA_BYTES)]
    if plan is not None:
        files[3].write_bytes(plan.tobytes())
        command.append(str(files[3]))
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    words = result.stdout.split()
    arena = int(words[1]) if words[:1] == ["arena_used_bytes"] else 0
    return Run(result.returncode, arena, np.fromfile(files[2], np.int8), result.stderr)


@dataclasses.dataclass(frozen=True)
class Case:
    """A network with its input, its reference result and its buffers."""

    model: bytes
    x: np.ndarray
    expected: np.ndarray
    requests: tuple[BufferRequest, ...]


def make_case(bits: int) -> Case:
    rng = np.random.default_rng([bits, 77])
    ops: list[Params] = network(rng, bits, 0)
    x = rng.integers(-128, 128, input_spec(ops[0]).shape).astype(np.int8)
    expected = x[0]
    for op in ops:
        expected = run_reference(op, expected.reshape(input_spec(op).shape[1:]))
    chain = [op_models.custom_op(op, output_spec(op)) for op in ops]
    model = op_models.chain_model(input_spec(ops[0]), chain)
    sizes = {number: operator_of(op).scratch_bytes for number, op in enumerate(ops)}
    requests = buffer_requests(parse(model).graph, sizes)
    return Case(model, x, expected.ravel(), requests)


def in_place_plan(case: Case) -> np.ndarray:
    """Image first, tokens of all blocks in one place behind it, scratch and the rest at the end."""

    def aligned(size: int) -> int:
        return (size + 15) // 16 * 16

    image = aligned(case.requests[0].bytes)
    tokens = range(1, 6)
    top = image + aligned(case.requests[1].bytes)
    placements, used = [], top
    for number, request in enumerate(case.requests):
        if number == 0:
            placements.append(BufferPlace(0, 0))
        elif number in tokens:
            placements.append(BufferPlace(0, image, number - 1 if number > 1 else None))
        else:
            placements.append(BufferPlace(0, used))
            used += aligned(request.bytes)
    return encode_table(case.model, case.requests, placements, [used])


@pytest.mark.parametrize("bits", [8, 16])
def test_tflm_itself_gives_the_reference(
    runner: pathlib.Path, tmp_path: pathlib.Path, bits: int
) -> None:
    case = make_case(bits)
    planned_by_tflm = run(runner, tmp_path, case.model, case.x, None)
    assert planned_by_tflm.status == 0, planned_by_tflm.text
    np.testing.assert_array_equal(planned_by_tflm.output, case.expected)
    wheel = TflmInterpreter(case.model).invoke(case.x).ravel()
    np.testing.assert_array_equal(wheel, case.expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_planner_serves_tflm(runner: pathlib.Path, tmp_path: pathlib.Path, bits: int) -> None:
    # TFLM asks for exactly the buffers that device_table.py predicts, or this fails.
    case = make_case(bits)
    planned = run(runner, tmp_path, case.model, case.x, in_place_plan(case))
    assert planned.status == 0, planned.text
    np.testing.assert_array_equal(planned.output, case.expected)


def test_planner_refuses_another_models_plan(runner: pathlib.Path, tmp_path: pathlib.Path) -> None:
    case, other = make_case(8), make_case(16)
    assert run(runner, tmp_path, case.model, case.x, in_place_plan(other)).status == 2
    wrong = in_place_plan(case)
    wrong[7] += 16  # bytes of the first buffer
    refused = run(runner, tmp_path, case.model, case.x, wrong)
    assert refused.status == 3
    assert "memory plan: buffer 0" in refused.text
