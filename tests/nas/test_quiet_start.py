# SPDX-License-Identifier: Apache-2.0
"""What TensorFlow says while it is imported is not shown: a Keras that talks stands for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PROCESS = """
import os, sys
class Talking:
    def find_spec(self, name, path=None, target=None):
        if name in ("keras", "tensorflow"):
            os.write(2, b"could not find cuda drivers")
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Talking())
import nas.train_supernet
nas.train_supernet.main(sys.argv[1:])
"""


def test_nothing_is_said_of_what_is_imported_for_a_training(tmp_path: Path) -> None:
    flags = ["--space=digits_8", "--dataset=digits", "--sram=16384", f"--out={tmp_path / 'net'}"]
    words = [sys.executable, "-c", _PROCESS, *flags]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "keras" in done.stderr  # that it is missing
    assert "cuda" not in done.stderr
    assert not (tmp_path / "net").exists()
