# SPDX-License-Identifier: Apache-2.0
"""The rooms of docs/architecture.md: who may import whom, read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What everybody may import; these import nothing of this repository.
SHARED = {"boards", "tflm_vit", "toolchain"}

# What each package may import of this repository besides itself and the shared ones.
ALLOWED = {
    **{package: set() for package in SHARED},
    "tflm_custom_ops": set(),
    "keras_models": set(),
    "converter": {"keras_models", "tflm_custom_ops"},
    "nas": {"keras_models", "converter", "tflm_custom_ops"},
    "firmware": {"keras_models", "converter", "tflm_custom_ops"},
}
EVERYTHING = {*ALLOWED, "benchmarks", "examples", "tests"}


def sources(package: str) -> list[Path]:
    return sorted(p for p in (ROOT / package).rglob("*.py") if "__pycache__" not in p.parts)


def imported(path: Path, whole: bool = True) -> set[str]:
    """Dotted names; `from a import b` gives a and a.b.

    Args:
      whole: those inside functions included.
    """
    names = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if whole else tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_no_package_imports_upward(package):
    files = sources(package)
    assert files
    for path in files:
        # The Python interface and the command of tflm_vit load the rooms when they are used.
        found = imported(path, whole=path.parent.name != "tflm_vit")
        ours = {name.split(".")[0] for name in found} & EVERYTHING
        shared = set() if package in SHARED else SHARED
        assert ours <= ALLOWED[package] | shared | {package}, path.relative_to(ROOT)


def test_the_public_face_loads_nothing_before_it_is_used():
    text = "import sys, tflm_vit; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "tflm_vit" in loaded
    assert not loaded & ((EVERYTHING - {"tflm_vit"}) | {"absl", "numpy", "tensorflow", "keras"})
