# SPDX-License-Identifier: Apache-2.0
"""Texts as numbers of sub-words: a vocabulary, learnt from texts, and how a text is cut with it.

Cutting is BERT's WordPiece (Devlin et al., 2019), uncased, of bytes: capitals of ASCII become small
letters; a word is a run of letters, digits and bytes from 128 on, any other byte that is no space
is a word alone; of each word the longest piece of the vocabulary that it begins with is taken, then
the longest that goes on ("##ing"), and so forth. A word that cannot be cut so is one unknown token.
Pieces are learnt by joining the most frequent pair again and again (Sennrich et al., 2016).
firmware/src/app/subwords.c cuts in the same way.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import heapq
import itertools
import re
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

PADDING, UNKNOWN = 0, 1  # tokens behind the end of a text, and of what cannot be cut
MARKS = ("[PAD]", "[UNK]")  # their names
GOES_ON = "##"  # before a piece that does not begin a word
LONGEST_WORD = 32  # bytes; a longer one is unknown
MOST_TOKENS = 1 << 16
TOKEN_BYTES = 2  # of its number
_WORDS = re.compile(rb"[a-z0-9\x80-\xff]+|[^a-z0-9\x80-\xff\x00-\x20\x7f]")

Square = NDArray[np.uint8]


class VocabularyError(ValueError):
    """These are no pieces; one line that says which is wrong."""


def words(text: bytes) -> list[bytes]:
    """Its words, in small letters."""
    return _WORDS.findall(text.lower())


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Pieces by their number.

    Attributes:
      pieces: text of each token in ISO 8859-1 (a byte a character); the first two are `MARKS`, the
        others the more frequent the smaller their number.

    Raises:
      VocabularyError: no `MARKS`, a piece twice, an empty one, or one with a space.
    """

    pieces: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.pieces[:2] != MARKS or not 3 <= len(self.pieces) <= MOST_TOKENS:
            raise VocabularyError(
                f"vocabulary: got {len(self.pieces)} pieces that begin with "
                f"{', '.join(self.pieces[:2])}, expected 3 to {MOST_TOKENS} that begin with "
                f"{', '.join(MARKS)}"
            )
        seen: set[str] = set()
        for number, piece in enumerate(self.pieces[2:], 2):
            body = piece.removeprefix(GOES_ON)
            good = body and all("\x20" < c <= "\xff" and c != "\x7f" for c in piece)
            if not good or piece in seen or len(body) > LONGEST_WORD:
                raise VocabularyError(
                    f"vocabulary: token {number} is {piece[:40]!r}, expected 1 to {LONGEST_WORD} "
                    "characters without a space, and no piece twice"
                )
            seen.add(piece)

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {piece: number for number, piece in enumerate(self.pieces) if number >= len(MARKS)}

    def _word(self, word: str) -> list[int]:
        if len(word) > LONGEST_WORD:
            return [UNKNOWN]
        found: list[int] = []
        at = 0
        while at < len(word):
            before = GOES_ON if at else ""
            for end in range(len(word), at, -1):
                number = self._numbers.get(before + word[at:end])
                if number is not None:
                    found.append(number)
                    at = end
                    break
            else:
                return [UNKNOWN]
        return found

    def tokens(self, text: bytes) -> list[int]:
        """Numbers of its pieces."""
        return [n for word in words(text) for n in self._word(word.decode("latin-1"))]

    def square(self, text: bytes, side: int) -> Square:
        """The first side * side tokens as (side, side, 2): of each its low byte, its high byte."""
        row = np.zeros(side * side, "<u2")
        kept = self.tokens(text)[: side * side]
        row[: len(kept)] = kept
        return row.view(np.uint8).reshape(side, side, TOKEN_BYTES)

    def file(self) -> bytes:
        """A line a piece, as BERT's vocab.txt, in UTF-8."""
        return "".join(f"{piece}\n" for piece in self.pieces).encode()


def vocabulary_of(content: bytes) -> Vocabulary:
    """Of a file that `Vocabulary.file` wrote.

    Raises:
      VocabularyError: it is none.
    """
    try:
        return Vocabulary(tuple(content.decode().split("\n")[:-1]))
    except UnicodeDecodeError as error:
        raise VocabularyError(f"vocabulary: not in UTF-8 ({error.reason})") from error


Pair = tuple[str, str]


class _Cut:
    """The words of a corpus, cut into pieces, and how often each pair stands side by side."""

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts
        self.parts = {word: [word[0], *(GOES_ON + c for c in word[1:])] for word in counts}
        self.pairs: collections.Counter[Pair] = collections.Counter()
        self.places: dict[Pair, set[str]] = collections.defaultdict(set)
        for word in counts:
            self._add(word, 1)
        # With counts of the past among them, which `best` passes over.
        self.queue = [(-count, pair) for pair, count in self.pairs.items()]
        heapq.heapify(self.queue)

    def _add(self, word: str, sign: int) -> set[Pair]:
        pairs = list(itertools.pairwise(self.parts[word]))
        for pair in pairs:
            self.pairs[pair] += sign * self.counts[word]
            if sign > 0:
                self.places[pair].add(word)
        return set(pairs)

    def pieces(self) -> set[str]:
        return {part for parts in self.parts.values() for part in parts}

    def best(self) -> Pair | None:
        """The most frequent pair, of equals the first; None where each is there once at most."""
        while self.queue:
            count, pair = self.queue[0]
            if -count == self.pairs[pair]:
                return pair if -count > 1 else None
            heapq.heappop(self.queue)
        return None

    def join(self, pair: Pair) -> str:
        """Makes one piece of a pair wherever it stands."""
        new = pair[0] + pair[1].removeprefix(GOES_ON)
        changed: set[Pair] = set()
        for word in self.places.pop(pair):
            changed |= self._add(word, -1)
            self.parts[word] = list(_joined(self.parts[word], pair, new))
            changed |= self._add(word, 1)
        for each in changed:
            heapq.heappush(self.queue, (-self.pairs[each], each))
        return new

    def frequencies(self) -> collections.Counter[str]:
        """Of pieces that words are cut into now."""
        found: collections.Counter[str] = collections.Counter()
        for word, parts in self.parts.items():
            for part in parts:
                found[part] += self.counts[word]
        return found


def _joined(parts: list[str], pair: Pair, new: str) -> Iterator[str]:
    at = 0
    while at < len(parts):
        if tuple(parts[at : at + 2]) == pair:
            yield new
            at += 2
        else:
            yield parts[at]
            at += 1


def learn(texts: Iterable[bytes], size: int) -> Vocabulary:
    """A vocabulary of at most `size` tokens: every byte of the texts, and joined pairs.

    Raises:
      VocabularyError: fewer tokens than the texts have different bytes.
    """
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        counts.update(word.decode("latin-1") for word in words(text) if len(word) <= LONGEST_WORD)
    cut = _Cut(dict(counts))
    pieces = cut.pieces()
    if len(pieces) + len(MARKS) > size:
        raise VocabularyError(
            f"vocabulary: got {size} tokens, expected at least {len(pieces) + len(MARKS)}, a token "
            "for each byte at a word's start and behind it"
        )
    while len(pieces) + len(MARKS) < size and (pair := cut.best()):
        pieces.add(cut.join(pair))
    often = cut.frequencies()
    return Vocabulary((*MARKS, *sorted(pieces, key=lambda piece: (-often[piece], piece))))
