# SPDX-License-Identifier: Apache-2.0
"""C tables of a vocabulary, as firmware/src/app/subwords.h cuts texts with it."""

from __future__ import annotations

from keras_models.text.subwords import GOES_ON, LONGEST_WORD, MARKS, Vocabulary

# Flash of firmware/src/app/subwords.c and of what takes texts, on a Cortex-M7.
TEXT_CODE_BYTES = 672
_ENTRY_BYTES = 4 + 2  # of a piece beside its text
_COLUMNS = 24

PIECES = """\
// Sub-words that texts are cut into (firmware/src/app/subwords.h): pieces in the order of their
// bytes, those that begin a word first; where the text of each ends, and its number.
extern const uint8_t vit_model_piece_text[];
extern const uint32_t vit_model_piece_ends[VIT_MODEL_PIECES];
extern const uint16_t vit_model_piece_numbers[VIT_MODEL_PIECES];
"""


def _sorted(vocabulary: Vocabulary) -> list[tuple[bool, bytes, int]]:
    """Of each piece: whether it goes on, its text without the mark of that, its number."""
    pieces = [
        (piece.startswith(GOES_ON), piece.removeprefix(GOES_ON).encode("latin-1"), number)
        for number, piece in enumerate(vocabulary.pieces)
        if number >= len(MARKS)
    ]
    return sorted(pieces)


def piece_defines(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Sizes of the tables."""
    pieces = _sorted(vocabulary)
    return [
        ("HAS_PIECES", "1"),
        ("PIECES", str(len(pieces))),
        ("FIRST_PIECES", str(sum(not goes_on for goes_on, _, _ in pieces))),
        ("LONGEST_PIECE", str(max(len(text) for _, text, _ in pieces))),
        ("LONGEST_WORD", str(LONGEST_WORD)),
    ]


def _table(ctype: str, name: str, size: str, values: list[int]) -> list[str]:
    rows = [values[at : at + _COLUMNS] for at in range(0, len(values), _COLUMNS)]
    return [
        f"const {ctype} vit_model_piece_{name}[{size}] = {{",
        *(f"    {', '.join(map(str, row))}," for row in rows),
        "};",
    ]


def pieces_text(vocabulary: Vocabulary) -> str:
    """C that defines the tables."""
    pieces = _sorted(vocabulary)
    ends, end = [], 0
    for _, text, _ in pieces:
        end += len(text)
        ends.append(end)
    lines = [
        "// clang-format off",
        *_table("uint8_t", "text", "", list(b"".join(text for _, text, _ in pieces))),
        *_table("uint32_t", "ends", "VIT_MODEL_PIECES", ends),
        *_table("uint16_t", "numbers", "VIT_MODEL_PIECES", [number for _, _, number in pieces]),
        "// clang-format on",
    ]
    return "\n".join([*lines, ""])


def pieces_bytes(vocabulary: Vocabulary) -> int:
    """Flash that the tables and what cuts with them take."""
    pieces = _sorted(vocabulary)
    return TEXT_CODE_BYTES + sum(len(text) + _ENTRY_BYTES for _, text, _ in pieces)
