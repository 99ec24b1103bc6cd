# SPDX-License-Identifier: Apache-2.0
"""Tables of tokens: what networks of texts begin with, whatever their kind."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from keras_models.parts import check_int, fail, linear_params
from keras_models.text.subwords import MOST_TOKENS, TOKEN_BYTES

BYTE_VALUES = 256


@dataclasses.dataclass(frozen=True)
class TokenTable:
    """A table of tokens: rows of a width, or of a rank (0: none) with a linear layer behind."""

    rows: int
    rank: int

    def params(self, width: int) -> int:
        """Trainable parameters."""
        if not self.rank:
            return self.rows * width
        return self.rows * self.rank + linear_params(self.rank, width, 0)


class TakesTokens(Protocol):
    """Fields of an architecture, as `ArchConfig` says them."""

    @property
    def channels(self) -> int: ...
    @property
    def embed_dim(self) -> int: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def embedding_rank(self) -> int: ...
    @property
    def rare_from(self) -> int: ...
    @property
    def rare_rank(self) -> int: ...


def check_text(arch: TakesTokens, *others: tuple[str, object]) -> None:
    """Raises `ArchError` for a wrong field of those.

    Args:
      others: more fields, and what they must be with a vocabulary.
    """
    number = arch.vocabulary if type(arch.vocabulary) is int else -1
    of_bytes = number == BYTE_VALUES
    if number != 0 and not BYTE_VALUES <= number <= MOST_TOKENS:
        expected = f"0 (a picture), {BYTE_VALUES} (a text of bytes) or more (of sub-words)"
        fail("vocabulary", arch.vocabulary, f"{expected} up to {MOST_TOKENS}")
    check_int("embedding_rank", arch.embedding_rank, 0, arch.embed_dim)
    check_int("rare_from", arch.rare_from, 0, max(0, number - 1))
    check_int("rare_rank", arch.rare_rank, 0, arch.embed_dim)
    if bool(arch.rare_from) != bool(arch.rare_rank):
        fail("rare_rank", arch.rare_rank, "a rank with rare_from, 0 without")
    if not number:
        if arch.embedding_rank:
            fail("embedding_rank", arch.embedding_rank, "0 without a vocabulary")
        return
    for field, value in (("channels", 1 if of_bytes else TOKEN_BYTES), *others):
        if getattr(arch, field) != value:
            fail(field, getattr(arch, field), f"{value} with a vocabulary")


def token_tables(arch: TakesTokens) -> tuple[TokenTable, ...]:
    """The one of all tokens, or those of frequent and of rare ones, each with one row for all
    tokens that it is not of; none of a network of pictures."""
    if not arch.vocabulary:
        return ()
    if not arch.rare_from:
        return (TokenTable(arch.vocabulary, arch.embedding_rank),)
    rare = arch.vocabulary - arch.rare_from
    return (
        TokenTable(arch.rare_from + 1, arch.embedding_rank),
        TokenTable(rare + 1, arch.rare_rank),
    )


def table_params(arch: TakesTokens) -> int:
    """Trainable parameters of all its tables."""
    return sum(table.params(arch.embed_dim) for table in token_tables(arch))


def table_macs(arch: TakesTokens) -> int:
    """Multiply-accumulates of one token's row."""
    return sum(table.rank for table in token_tables(arch)) * arch.embed_dim
