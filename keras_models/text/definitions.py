# SPDX-License-Identifier: Apache-2.0
"""Definitions of WordNet's nouns, and the topic of each: the file that its makers wrote it in."""

from __future__ import annotations

from collections.abc import Iterator

# Numbers of WordNet's files of nouns (lexnames(5WN)).
_FILES = {4: "act", 5: "animal", 6: "artifact", 7: "attribute", 8: "body", 9: "cognition",
          10: "communication", 13: "food", 15: "location", 18: "person", 20: "plant", 26: "state",
          27: "substance"}  # fmt: skip
TOPICS = tuple(_FILES.values())
_LEAST_LETTERS = 24


def definitions(lines: Iterator[str]) -> Iterator[tuple[str, int]]:
    """(definition, topic) of the lines of data.noun, without examples and second meanings."""
    for line in lines:
        fields = line.split(maxsplit=2)
        if line.startswith("  ") or len(fields) < 3 or "|" not in line:
            continue
        topic = _FILES.get(int(fields[1])) if fields[1].isdigit() else None
        text = line.split("|", 1)[1].strip().split(";")[0].strip()
        if topic is not None and len(text) >= _LEAST_LETTERS:
            yield text, TOPICS.index(topic)
