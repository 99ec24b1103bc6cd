# SPDX-License-Identifier: Apache-2.0
"""The kept inputs of the fuzz targets, each once under the sanitizers; and what they reach.

`python -m benchmarks.fuzz.native` looks for new ones with libFuzzer.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.fuzz.targets import TARGETS, FuzzTarget, build_replay, coverage
from tests.tflm_custom_ops.kernels.test_sanitizers import FLAGS

CONSOLE, KERNELS = TARGETS
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_kept_inputs_do_no_harm(target: FuzzTarget, tmp_path: Path) -> None:
    program, files = build_replay(target, FLAGS, tmp_path), target.inputs
    assert len(files) >= 8
    done = subprocess.run(
        [program, *files], capture_output=True, text=True, check=False, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.split() == [str(path) for path in files]


def test_kept_inputs_reach_the_protocol_and_every_kernel(tmp_path: Path) -> None:
    """What is missing: `python -m benchmarks.fuzz.native --only=kernels --minutes=0.1 --keep`."""
    found = {}
    for target in (CONSOLE, KERNELS):
        work = tmp_path / target.name
        work.mkdir()
        found |= coverage(target, work)
    of_other_cores = ("_dsp.c", "_mve.c")
    kernels = {p.name for p in KERNELS.sources if not p.name.endswith(of_other_cores)}
    assert found.keys() == kernels | {"protocol.c", "frame.c"}
    assert min(found.values()) > 95.0, found
