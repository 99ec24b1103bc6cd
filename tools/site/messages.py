# SPDX-License-Identifier: Apache-2.0
"""Every text of an exception in the toolkit's own code: what a user can meet as the last line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "tflm_vit", "converter", "firmware", "keras_models", "nas", "boards", "toolchain",
    "tflm_custom_ops", "examples", "benchmarks",
)  # fmt: skip
GAP = "…"  # what a message says of the file or flag at hand


def text_of(node: ast.expr, gap: str = "{}") -> str:
    """The words of a string in the source; `gap` stands for what is computed."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part, gap) for part in node.values)
    return gap


# Planted faults quote the lines that they change: nobody says these.
QUOTES = ROOT / "benchmarks" / "mutations"


def sources() -> Iterator[Path]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if QUOTES not in path.parents:
                yield path


def messages() -> Iterator[tuple[Path, str]]:
    """(file, text) of every part of every text that an exception is raised with."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and node.exc is not None:
                for part in ast.walk(node.exc):
                    if isinstance(part, ast.Constant | ast.JoinedStr):
                        yield path.relative_to(ROOT), text_of(part)


def spoken() -> Iterator[tuple[Path, str]]:
    """(file, text) of every string in the sources: some become messages elsewhere."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield path.relative_to(ROOT), text_of(node, GAP)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.relative_to(ROOT), node.value


def whole_messages() -> dict[str, list[str]]:
    """Room -> the texts of its exceptions, each once; strings within other ones are left out."""
    found: dict[str, list[str]] = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
                continue
            for argument in node.exc.args:
                text = text_of(argument, GAP).strip()
                if len(text) > 15 and " " in text:
                    texts = found.setdefault(path.relative_to(ROOT).parts[0], [])
                    if text not in texts:
                        texts.append(text)
    return {room: sorted(texts, key=str.lower) for room, texts in found.items()}


def page() -> str:
    """The page of all messages."""
    lines = [
        "# Every message",
        "",
        "What commands and the Python interface say when they refuse something, from the sources. "
        f"`{GAP}` stands for what a message says of the file or flag at hand. The common ones, "
        "with what to do: [troubleshooting](troubleshooting.md).",
    ]
    for room, texts in whole_messages().items():
        if room in ("benchmarks", "examples"):
            continue
        lines += ["", f"## {room}", ""]
        lines += [f"* `{text.replace('`', chr(39)).replace(chr(10), ' ')}`" for text in texts]
    return "\n".join(lines) + "\n"
