# SPDX-License-Identifier: Apache-2.0
"""The same comparisons, and mutated files, under AddressSanitizer and UndefinedBehaviorSanitizer.

The sanitized library is loaded by a Python of its own that has the sanitizer's run time preloaded.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tflm_custom_ops import extreme_sums
from tests.tflm_custom_ops.kernels import comparison
from tflm_custom_ops import host_library
from tflm_custom_ops.ops import OpKind
from tflm_custom_ops.sources import kernel_files

# Random operators of each kind; more with VIT_SANITIZER_COUNT=2000.
COUNT = int(os.environ.get("VIT_SANITIZER_COUNT", "100"))
FUZZED = 6 * COUNT  # mutated files of each kind
ROOT = Path(__file__).resolve().parents[3]
FLAGS = (
    "-std=c11",
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)


def preloads() -> str:
    """The sanitizer run-time libraries, which must come first in the process."""
    compiler = shutil.which(os.environ.get("CC") or "gcc")
    if compiler is None:
        pytest.skip("no gcc")
    paths = []
    for name in ("libasan.so", "libubsan.so"):
        done = subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        )
        path = done.stdout.strip()
        if not Path(path).is_absolute():
            pytest.skip(f"gcc has no {name}")
        paths.append(path)
    return " ".join(paths)


def run(library: Path, count: int, *names: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "LD_PRELOAD": preloads(),
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONMALLOC": "malloc",
    }
    return subprocess.run(
        [sys.executable, str(Path(comparison.__file__)), str(library), "0", str(count), *names],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


@pytest.fixture(scope="module")
def sanitized() -> Path:
    preloads()
    return host_library.build(flags=FLAGS)


def test_random_operators(sanitized: Path) -> None:
    """All kinds in one process: starting one under the sanitizer takes longer than a kind."""
    names = (comparison.EDGES, extreme_sums.NAME, *(kind.name for kind in OpKind))
    done = run(sanitized, COUNT, *names)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert len(done.stdout.splitlines()) == len(OpKind)


def test_mutated_files(sanitized: Path) -> None:
    done = run(sanitized, FUZZED, *(f"fuzz-{kind.name}" for kind in OpKind))
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    # Some mutations are harmless, or the fuzzer would only test the header.
    accepted = re.findall(r"accepted (\d+)", done.stdout)
    assert len(accepted) == len(OpKind)
    assert all(FUZZED // 30 <= int(number) < FUZZED for number in accepted), done.stdout


def test_an_overrun_is_caught(tmp_path: Path) -> None:
    """The set-up above sees a kernel that writes one element too many."""
    for path in kernel_files(".c", ".h"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    source = tmp_path / "vit_layer_norm.c"
    text = source.read_text()
    assert text.count("t < tokens") == 1
    source.write_text(text.replace("t < tokens", "t < tokens + 1"))
    done = run(host_library.build(tmp_path, FLAGS), 200, "fuzz-LAYER_NORM")
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr
