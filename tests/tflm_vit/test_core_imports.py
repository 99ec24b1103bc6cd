# SPDX-License-Identifier: Apache-2.0
"""Commands of the core are imported without what the extras bring.

`test_wheel` shows it in fresh environments, where it takes a package index; this in a second.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_EXTRAS = (
    "PIL", "ai_edge_litert", "altair", "h5py", "jax", "keras", "matplotlib", "optuna", "scipy",
    "serial", "sklearn", "tensorboard", "tensorflow", "tensorflow_datasets",
    "tensorflow_model_optimization",
    "tf_keras", "tflite_micro", "torch", "tqdm", "unicorn", "vl_convert",
)  # fmt: skip
_PROCESS = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {_EXTRAS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
import converter.fuse.__main__, converter.plan.__main__, converter.inspect.__main__
import converter.compile.__main__, firmware.build, firmware.export, tflm_vit
"""


def test_the_core_is_imported_without_the_extras() -> None:
    words = [sys.executable, "-c", _PROCESS]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
