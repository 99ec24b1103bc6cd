# SPDX-License-Identifier: Apache-2.0
"""Two models in two FreeRTOS tasks that preempt each other, in QEMU: equal to the reference, within
the stacks that the headers state."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from boards import get_board
from converter.runtimes import open_runtime
from firmware.formats import get_library_format
from firmware.library import library_from_model, tflm_library_from_model
from tests.firmware.library import models

EXAMPLE = Path(__file__).parents[3] / "examples" / "freertos"
KERNEL = os.environ.get("FREERTOS_DIR", "")
QEMU = "qemu-system-arm"
ROUNDS = 20  # of the example
OWN_STACK_BYTES = 512

pytestmark = [
    pytest.mark.skipif(
        not (Path(KERNEL) / "tasks.c").is_file(),
        reason="FREERTOS_DIR does not name a folder of the FreeRTOS kernel (the one with tasks.c)",
    ),
    pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed"),
    pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed"),
]


def image(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """int8 values as the example makes them."""
    values = []
    for _ in range(int(np.prod(shape))):
        seed = (seed * 1664525 + 1013904223) % (1 << 32)
        values.append(seed >> 24)
    return np.array(values, np.uint8).view(np.int8).reshape(shape)


def numbers(text: str, line: str) -> list[int]:
    found = re.search(rf"^{line}(.*)$", text, re.M)
    assert found, text
    return [int(word) for word in re.findall(r"-?\d+", found[1])]


TFLM = sorted(
    Path(os.environ.get("TFLM_DIR", "/nonexistent")).glob(
        "gen/cortex_m_generic_cortex-m4*_release*/lib/libtensorflow-microlite.a"
    )
)
needs_tflm = pytest.mark.skipif(
    not TFLM, reason="TFLM_DIR (a TFLM tree with a release library for cortex-m4) is unset"
)
MAKE = {"compiled": library_from_model, "tflm": tflm_library_from_model}


@pytest.mark.parametrize(
    "runtimes",
    [
        ("compiled", "compiled"),
        pytest.param(("tflm", "compiled"), marks=needs_tflm),
        pytest.param(("tflm", "tflm"), marks=needs_tflm),
    ],
    ids="-".join,
)
def test_tasks_that_preempt_each_other_give_the_reference(tmp_path, runtimes):
    folder = tmp_path / "freertos"
    shutil.copytree(EXAMPLE, folder)
    tested = {"first": models.first(), "second": models.second()}
    for (name, model), runtime in zip(tested.items(), runtimes, strict=True):
        library = MAKE[runtime](model, name, get_board("openmv_cam_m4"))
        for file in get_library_format("library").files(library):
            file.write(folder / name)
    configure = ["cmake", "-S", ".", "-B", "build", "--toolchain", "arm-none-eabi.cmake"]
    configure.append(f"-DFREERTOS_DIR={Path(KERNEL).resolve()}")
    for command in (configure, ["cmake", "--build", "build"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    run = [QEMU, "-M", "mps2-an386", "-kernel", "build/two_tasks.elf", "-icount", "shift=6",
           "-semihosting", "-display", "none", "-serial", "stdio"]  # fmt: skip
    shown = subprocess.run(
        run, cwd=folder, capture_output=True, text=True, timeout=120, check=True
    ).stdout
    for name, model in tested.items():
        runtime = open_runtime("reference", model)
        (expected,) = runtime.run(image(runtime.inputs[0].shape, ROUNDS - 1))
        assert numbers(shown, f"{name} outputs") == expected.reshape(-1).tolist()
        used, stated = numbers(shown, f"{name} stack")
        assert 0.75 * stated < used <= stated + OWN_STACK_BYTES
    # A release build of TFLM calls no hooks: the tasks are interrupted, and nobody counts.
    assert numbers(shown, "interrupted")[0] > 10 or "tflm" in runtimes
