# SPDX-License-Identifier: Apache-2.0
"""MkDocs' hooks: pages that are not in docs/, and links to them. See mkdocs.yml."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.site import links, messages


def on_config(config: Any) -> Any:
    """Documents that mkdocs.yml does not name come last, so that each can be found."""
    text = str(config.nav)
    pages = links.pages()
    rooms = [p for p in pages.values() if p.startswith("rooms/")]
    rest = [p for p in pages.values() if "/" not in p and f"'{p}'" not in text]
    config.nav.append({"Inside": [*rest, *rooms]})
    return config


def on_files(files: Files, config: Any) -> Files:
    """READMEs of the rooms, and every message."""
    for origin, place in links.pages().items():
        if place.startswith("rooms/"):
            content = (links.ROOT / origin).read_text(encoding="utf-8")
            files.append(File.generated(config, place, content=links.on_site(origin, content)))
    files.append(File.generated(config, "messages.md", content=messages.page()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links of docs/ as they are on the site."""
    origin = f"docs/{page.file.src_uri}"
    return links.on_site(origin, markdown) if origin in links.pages() else markdown
