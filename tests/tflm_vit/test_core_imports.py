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


# What `fuse` needs for some files or flags only; together a fifth of the time of its imports.
_LATER = (
    "converter.contract", "converter.plan.cp_sat", "converter.plan.sections", "keras_models",
    "tflm_vit.api", "toolchain",
)  # fmt: skip
_FUSE = f"""
import sys
import converter.fuse.__main__, converter.plan.model
print(sorted(set({_LATER}) & set(sys.modules)))
"""


def test_fuse_starts_without_what_few_files_need() -> None:
    words = [sys.executable, "-c", _FUSE]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_of_the_interface_come_with_their_first_use() -> None:
    import tflm_vit

    assert set(tflm_vit.__all__) <= set(dir(tflm_vit))
    assert all(getattr(tflm_vit, name) is not None for name in tflm_vit.__all__)
    assert tflm_vit.fuse is tflm_vit.fuse
    assert not hasattr(tflm_vit, "fused")
