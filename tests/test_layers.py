# SPDX-License-Identifier: Apache-2.0
"""The rooms of docs/architecture.md: who may import whom, read from the sources."""

import ast
import collections
import graphlib
import subprocess
import sys
from collections.abc import Collection, Iterable
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


def sources(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


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
    files = sources(ROOT / package)
    assert files
    for path in files:
        # The Python interface and the command of tflm_vit load the rooms when they are used.
        found = imported(path, whole=path.parent.name != "tflm_vit")
        ours = {name.split(".")[0] for name in found} & EVERYTHING
        shared = set() if package in SHARED else SHARED
        assert ours <= ALLOWED[package] | shared | {package}, path.relative_to(ROOT)


def modules(root: Path, packages: Iterable[str]) -> dict[str, Path]:
    """Dotted name -> file."""
    found = {}
    for package in packages:
        for path in sources(root / package):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def meant(path: Path, known: Collection[str]) -> set[str]:
    """The modules among `known` that a file imports; of `from a import b` a.b if that is one."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else node.module for name in names}
    return found & set(known)


def circle(root: Path, packages: Iterable[str]) -> list[str]:
    """Modules that import each other, one after another, first and last the same; [] for none.

    Imports within functions and those for annotations count as all others do.
    """
    files = modules(root, packages)
    graph = {name: meant(path, files.keys()) - {name} for name, path in files.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other():
    assert circle(ROOT, [*ALLOWED, "benchmarks", "examples"]) == []


@pytest.mark.parametrize(
    "back",
    [
        "import room.a",
        "from room import a",
        "from room.a import x",
        "from room import x",
        "def f():\n    from room.a import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room.a import x",
    ],
)
def test_a_circle_of_modules_is_found(tmp_path, back):
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").write_text("from room.a import x\n")
    (room / "a.py").write_text("from room.b import y\nx = 1\n")
    (room / "b.py").write_text("from room import c\nimport room.d\ny = 1\n")
    (room / "d.py").write_text("")
    (room / "c.py").write_text("z = 1\n")
    assert circle(tmp_path, ["room"]) == []
    (room / "c.py").write_text(f"{back}\n")
    assert set(circle(tmp_path, ["room"])) - {"room"} == {"room.a", "room.b", "room.c"}


# RESHAPE is one operator, seen by the rewriting and by the compiled runtime.
SEVERAL_ROOMS_MEAN_THE_SAME = {"Reshape"}


def test_a_name_of_a_class_means_one_thing():
    """Names of public classes, that two rooms' readers do not take one for the other."""
    found = collections.defaultdict(set)
    for path in modules(ROOT, ALLOWED).values():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].add(path.relative_to(ROOT).as_posix())
    twice = {name: sorted(files) for name, files in found.items() if len(files) > 1}
    assert twice.keys() == SEVERAL_ROOMS_MEAN_THE_SAME, twice


def test_the_public_face_loads_nothing_before_it_is_used():
    text = "import sys, tflm_vit; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "tflm_vit" in loaded
    assert not loaded & ((EVERYTHING - {"tflm_vit"}) | {"absl", "numpy", "tensorflow", "keras"})
