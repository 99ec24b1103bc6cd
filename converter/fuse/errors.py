# SPDX-License-Identifier: Apache-2.0
"""Why a part of a graph stays as it is."""

from __future__ import annotations


class NoMatchError(Exception):
    """A pattern does not apply; the message is the reason that the report shows."""


class BoundError(NoMatchError):
    """The pattern applies, but an integer of the fused operator would overflow."""
