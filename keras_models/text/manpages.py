# SPDX-License-Identifier: Apache-2.0
"""Paragraphs of Debian's manual pages in twelve languages, without their markup.

Translations hold paragraphs that nobody has translated: those in which more than 15 % of the words
are English function words are left out.
"""

from __future__ import annotations

import glob
import gzip
import os
import re
import zlib
from collections.abc import Iterator

from tflm_vit.files import opened

LANGUAGES = ("en", "cs", "da", "de", "es", "fr", "it", "nl", "pl", "pt_BR", "ru", "uk")
_MOST_BYTES = 1 << 24  # of a page
_LEAST_BYTES = 96
_LETTERS = 0.6  # least share of letters
_ENGLISH = frozenset((
    "the", "of", "is", "and", "to", "that", "this", "be", "are", "with", "for", "by", "it", "or",
    "if", "not", "from", "which", "when",
))  # fmt: skip
_MOST_ENGLISH = 0.15
_BREAKS = frozenset(("SH", "SS", "PP", "P", "TP", "IP", "LP", "HP", "TH", "sp"))
_FONTS = frozenset(("B", "I", "BR", "IR", "RB", "RI", "BI", "IB", "SM", "SB"))
_NAMED = {"aq": "'", "cq": "'", "oq": "'", "em": "-", "bu": ""}
_WORDS = re.compile(r'"([^"]*)"|(\S+)')


def _plain(line: str) -> str:
    """A line without escapes of roff."""
    line = re.sub(r'\\f(\[\w*\]|\(..|.)|\\[&%|^]|\\".*', "", line)
    line = re.sub(r"\\\((aq|cq|oq|em|bu)", lambda m: _NAMED[m[1]], line)
    for escape, text in (("\\-", "-"), ("\\ ", " "), ("\\~", " "), ("\\e", "\\"), ("\xa0", " ")):
        line = line.replace(escape, text)
    return re.sub(r"\\\(..|\\\[\w+\]|\\s[+-]?\d", "", line)


def _request(name: str, rest: str) -> str:
    """The text of a line that begins with a request for a font."""
    if len(name) == 1 or name in ("SM", "SB"):
        return _plain(rest.strip('"'))
    return _plain("".join(quoted or word for quoted, word in _WORDS.findall(rest)))


def paragraphs(source: str) -> Iterator[str]:
    """Of a page's roff source; examples and tables are left out."""
    lines: list[str] = []
    skipped = False
    for line in [*source.split("\n"), ".SH"]:
        if re.match(r"\.(EX|nf|TS)", line):
            skipped = True
        elif re.match(r"\.(EE|fi|TE)", line):
            skipped = False
        elif found := re.match(r"[.'](\w+|\\\")? ?(.*)", line):
            name, rest = found[1] or "", found[2]
            if name in _BREAKS and lines:
                yield re.sub(r"\s+", " ", " ".join(lines)).strip()
                lines = []
            elif name in _FONTS and not skipped:
                lines.append(_request(name, rest))
        elif not skipped:
            lines.append(_plain(line))


def is_text(paragraph: str, language: str) -> bool:
    """Whether it is long enough, of words, and not left in English."""
    if len(paragraph.encode()) < _LEAST_BYTES:
        return False
    if sum(c.isalpha() for c in paragraph) < _LETTERS * len(paragraph):
        return False
    words = re.findall("[a-z]+", paragraph.lower())
    english = sum(word in _ENGLISH for word in words)
    return language == "en" or english <= _MOST_ENGLISH * len(words)


def pages(folder: str, language: str) -> Iterator[tuple[str, str]]:
    """Names and sources of the pages of a language below a folder such as /usr/share/man."""
    below = os.path.join(folder, *(() if language == "en" else (language,)), "man[1-8]", "*.gz")
    for path in sorted(glob.glob(below)):
        try:
            with opened(path) as packed, gzip.open(packed) as file:
                content = file.read(_MOST_BYTES + 1)  # a small file may unpack to anything
            if len(content) <= _MOST_BYTES:
                yield os.path.basename(path), content.decode()
        except (UnicodeDecodeError, EOFError, OSError, zlib.error):
            continue  # of another encoding, damaged, or no file
