# SPDX-License-Identifier: Apache-2.0
"""What a command frees it keeps for the next array; where the C library cannot, nothing happens."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from tflm_vit import freed_memory

_PROCESS = """
import resource
import numpy as np
from tflm_vit.freed_memory import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    arrays = [np.ones(300_000, np.float32) for _ in range(4)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_pages_are_fetched_once() -> None:
    faults = []
    for keep in (False, True):
        words = [sys.executable, "-c", _PROCESS.format(keep=keep)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        faults.append(int(done.stdout))
    assert faults[1] * 10 < faults[0]


def test_another_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        def __init__(self, name: None) -> None:
            del name

    def windows(name: None) -> None:
        raise TypeError(f"expected a name, got {name}")

    for library in (Without, windows):
        monkeypatch.setattr(ctypes, "CDLL", library)
        assert not freed_memory.keep_freed_memory()
