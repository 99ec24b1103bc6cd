# SPDX-License-Identifier: Apache-2.0
"""The error of this package."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


class ToolchainError(RuntimeError):
    """No compiler, a compiler's error, or a cache that can not be written: one line.

    Attributes:
      details: longer text, such as a compiler's output; empty when there is none.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


@contextlib.contextmanager
def raised_as(make: Callable[[ToolchainError], Exception]) -> Iterator[None]:
    """Turns this package's error into the caller's own.

    Args:
      make: the exception to raise instead, e.g. `lambda error: HostBuildError(str(error))`.
    """
    try:
        yield
    except ToolchainError as error:
        raise make(error) from error
