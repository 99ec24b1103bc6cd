# SPDX-License-Identifier: Apache-2.0
"""Plots as bytes, for files that appear whole or not at all."""

from __future__ import annotations

import io
from typing import Any


def png(figure: Any, dpi: int = 110) -> bytes:
    """A matplotlib figure as PNG; closes it."""
    from matplotlib import pyplot

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    pyplot.close(figure)
    return buffer.getvalue()
