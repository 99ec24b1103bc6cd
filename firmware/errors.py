# SPDX-License-Identifier: Apache-2.0
"""The error that this package's commands print as one line."""

from __future__ import annotations


class FirmwareError(Exception):
    """Something the user can act on: what was got, what was expected, what to do.

    Attributes:
      details: longer text, such as a compiler's output; empty when there is none.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class ModelError(FirmwareError):
    """The model file is at fault; `firmware.model.named_model` puts its name before the message."""
