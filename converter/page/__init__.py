# SPDX-License-Identifier: Apache-2.0
"""Reports as one HTML file that loads nothing: `document` puts it together, `figures` embeds
charts, `markup` escapes. The `report` extra of the package brings the charts (Altair, Vega)."""

from __future__ import annotations

import importlib.util

from tflm_vit.installed import missing_line

_CHARTS = ("altair", "vl_convert")


class PageError(ValueError):
    """A page cannot be made; the message says what to do."""


def expect_charts(flag: str) -> None:
    """PageError unless the packages that draw charts are installed.

    Args:
      flag: that asks for a page.
    """
    for name in _CHARTS:
        if importlib.util.find_spec(name) is None:
            raise PageError(f"{flag}: {missing_line(name)}")
