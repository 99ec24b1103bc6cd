# SPDX-License-Identifier: Apache-2.0
"""The core needs nothing of POSIX, and what it writes does not depend on a system's line ends."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import numpy as np

from tests.converter.fuse import blocks
from tests.converter.fuse.plain_graph import PlainGraph
from tests.tflm_vit import windows_process
from tflm_vit import leftovers, run

ROOT = Path(__file__).resolve().parents[2]


def plain_model() -> bytes:
    spelling = blocks.AttentionSpelling(tokens=7, heads=2, head_dim=4, embed_dim=6)
    graph = PlainGraph(np.random.default_rng(3))
    x = blocks.token_input(graph, spelling.tokens, spelling.embed_dim)
    return graph.finish(blocks.attention(graph, x, spelling))


def written(folder: Path, *flags: str) -> dict[str, bytes]:
    """Every file that the core writes for a small model."""
    folder.mkdir()
    model = folder.parent / "plain.tflite"
    model.write_bytes(plain_model())
    script = Path(windows_process.__file__)
    command = [sys.executable, str(script), str(model), str(folder), *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_without_posix_and_with_other_line_ends_the_same_is_written(tmp_path: Path) -> None:
    usual = written(tmp_path / "usual")
    hidden = written(tmp_path / "hidden", "--hidden")
    assert list(hidden) == list(usual)
    assert len(usual) > 40
    for name, content in usual.items():
        assert hidden[name] == content, name
        assert b"\r\n" not in content or b"\0" in content, name


CORE = ("boards", "converter", "firmware", "tflm_custom_ops", "tflm_vit", "toolchain")


def imported_at_once(tree: ast.Module) -> set[str]:
    """Modules that a file imports when it is imported, with no `except` around it."""
    found: set[str] = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.If | ast.With | ast.ClassDef):
            pending += node.body
    return found


def test_no_module_of_the_core_needs_posix_to_be_imported() -> None:
    seen = 0
    for room in CORE:
        for path in (ROOT / room).rglob("*.py"):
            found = imported_at_once(ast.parse(path.read_text(encoding="utf-8")))
            assert not found & windows_process.MISSING, path
            seen += len(found)
    assert seen > 1000
    assert imported_at_once(ast.parse("import os, fcntl as f\nfrom pwd import x")) == {
        "os", "fcntl", "pwd",
    }  # fmt: skip


def test_records_of_commands_shorten_windows_paths(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x", r"--model=C:\Users\me\my models\a.tflite", "--n=2"])
    assert "Users" not in run.typed_command("converter.fuse")
    assert "a.tflite" in run.typed_command("converter.fuse")
    assert PureWindowsPath(r"C:\a\b.tflite").name == "b.tflite"


def test_no_process_is_signalled_on_windows(monkeypatch) -> None:
    """There os.kill(process, 0) is Ctrl-C."""
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(os, "kill", lambda *_: (_ for _ in ()).throw(AssertionError))
    asked = []
    monkeypatch.setattr(leftovers, "_alive_on_windows", lambda p: asked.append(p) or True)
    assert leftovers._alive(7)
    assert asked == [7]
