# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with serialized options: the same status in Python and in C."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """Result of a parser; `VitStatus` of vit_parse.h is generated from it."""

    OK = 0
    TRUNCATED = 1
    BAD_MAGIC = 2
    BAD_KIND = 3
    BAD_VERSION = 4
    BAD_OFFSET = 5
    BAD_DIMENSION = 6
    BAD_VALUE = 7
    BAD_SUMS = 8

    @property
    def c_name(self) -> str:
        """The enumerator in C, e.g. kVitBadOffset."""
        return "kVit" + "".join(word.capitalize() for word in self.name.split("_"))


MESSAGES = {
    Status.OK: "ok",
    Status.TRUNCATED: "options are truncated or have words that the operator does not know",
    Status.BAD_MAGIC: "options do not start with VIT1",
    Status.BAD_KIND: "options belong to another operator",
    Status.BAD_VERSION: (
        "options were written by another version of the converter; fuse the model again"
    ),
    Status.BAD_OFFSET: "an array lies outside the constant tensor, or is not aligned to 4 bytes",
    Status.BAD_DIMENSION: "a dimension or tile is out of range, or two dimensions disagree",
    Status.BAD_VALUE: "a shift, zero point, clamp range, type or block is out of range",
    Status.BAD_SUMS: "sums of a layer can leave 24 bits; fuse the model again",
}


class OptionsError(ValueError):
    """Serialized options that are malformed; the message says what was got and expected.

    ``status`` is what the C parser returns for the same bytes, or, of BAD_SUMS, the check of a
    layer's sums behind it.
    """

    def __init__(self, message: str, status: Status = Status.BAD_VALUE) -> None:
        super().__init__(message)
        self.status = status
