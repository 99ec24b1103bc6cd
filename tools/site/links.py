# SPDX-License-Identifier: Apache-2.0
"""Links of the documentation: where they lead, in the repository and on the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(!?)\[([^\]\n]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.M | re.S)


def pages() -> dict[str, str]:
    """Repository path of each document -> its path on the site."""
    found = {f"docs/{p.name}": p.name for p in sorted((ROOT / "docs").glob("*.md"))}
    rooms = [p for p in sorted(ROOT.rglob("README.md")) if _is_room(p)]
    others = [ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    for path in (*rooms, *(p for p in others if p.exists())):
        name = path.relative_to(ROOT).as_posix()
        folder = posixpath.dirname(name).replace("/", "_") or name.removesuffix(".md").lower()
        found[name] = f"rooms/{folder}.md"
    found["README.md"] = "index.md"
    return found


def _is_room(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    hidden = {".venv", "build", "node_modules", "templates", ".git"}
    return len(parts) > 1 and not hidden & set(parts) and not parts[0].startswith(".")


def targets(text: str) -> Iterator[tuple[str, str]]:
    """(words, target) of each link of a document outside code."""
    for _, words, target in LINK.findall(_FENCE.sub("", text)):
        if "://" not in target and not target.startswith("mailto:"):
            yield words, target


def resolved(origin: str, target: str) -> tuple[str, str]:
    """(repository path, anchor) that a link of a document leads to."""
    path, _, anchor = target.partition("#")
    if not path:
        return origin, anchor
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), path)), anchor


def on_site(origin: str, text: str) -> str:
    """A document's text with its links as they are on the site; those to sources become words."""
    known = pages()
    here = posixpath.dirname(known[origin])

    def replaced(match: re.Match[str]) -> str:
        mark, words, target = match.groups()
        if "://" in target or target.startswith(("mailto:", "#")):
            return match[0]
        path, anchor = resolved(origin, target)
        if not (ROOT / path).exists():
            return match[0]  # MkDocs says that it leads nowhere, and fails
        place = known.get(path) or known.get(f"{path}/README.md")
        if place is None and path.startswith("docs/") and (ROOT / path).is_file():
            place = path.removeprefix("docs/")
        if place is None:
            return words if words.strip("`") == path else f"{words} (`{path}`)"
        link = posixpath.relpath(place, here or ".")
        return f"{mark}[{words}]({link}{'#' + anchor if anchor else ''})"

    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [LINK.sub(replaced, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(replaced, text[end:])])
