# SPDX-License-Identifier: Apache-2.0
"""Charts of Vega-Altair in a page: one copy of its library, one call of it for each chart.

Colours of axes and texts are the page's (`currentColor`), so that a chart is readable on a light
and on a dark ground. Every mark carries a text for screen readers, which holds its values.
"""

from __future__ import annotations

from typing import Any

import altair
import vl_convert

from converter.page.markup import Markup, element, joined, script_json

# Of series, in this order; readable on white and on near-black.
PALETTE = ("#4c8dd6", "#e8833a", "#3fa66b", "#b07cd8", "#d9566b", "#2aa5a5", "#b58c2f", "#8a8f98")
MUTED = "#8a8f98"
ALARM = "#d9566b"

_INK: dict[str, Any] = {
    "labelColor": "currentColor",
    "titleColor": "currentColor",
    "domainColor": "currentColor",
    "tickColor": "currentColor",
    "gridColor": "currentColor",
    "gridOpacity": 0.14,
    "domainOpacity": 0.5,
    "titleFontWeight": "normal",
    "labelLimit": 150,
    "labelOverlap": "greedy",
    "labelSeparation": 6,
}
_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, -apple-system, Segoe UI, sans-serif",
    "view": {"stroke": None},
    "axis": _INK,
    "text": {"fill": "currentColor"},
    "rule": {"stroke": "currentColor"},
}
_OPTIONS = {
    "mode": "vega-lite",
    "renderer": "svg",
    "actions": False,
    "tooltip": {"theme": "custom"},
}


def library() -> Markup:
    """The script that all charts need: Vega, Vega-Lite and Vega-Embed."""
    bundle = vl_convert.javascript_bundle(vl_version=_version())  # type: ignore[call-arg]
    return Markup(f"<script>{bundle}</script>")


def _version() -> str:
    """Of Vega-Lite, the newest that both packages know."""
    known = {tuple(map(int, v.split("."))): v for v in vl_convert.get_vegalite_versions()}
    wanted = tuple(map(int, altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2]))
    return known[max(v for v in known if v <= wanted)]


def versions() -> dict[str, str]:
    """Of what draws the charts."""
    return {
        "Vega-Altair": altair.__version__,
        "Vega-Lite": _version(),
    }


def figure(name: str, chart: Any, caption: str, key: Markup) -> Markup:
    """A chart as wide as the page, with its caption.

    Args:
      name: of the element, e.g. "memory-map".
      chart: of Altair, without a width.
      key: what its colours mean; above the chart.
    """
    spec = chart.properties(width="container").to_dict()
    del spec["$schema"]  # of Altair, perhaps newer than the library in the page
    spec["config"] = _CONFIG
    call = f'vegaEmbed("#{name}", {script_json(spec)}, {script_json(_OPTIONS)})'
    return joined(
        element(
            "figure",
            key,
            element("div", id=name, class_="chart"),
            element("figcaption", caption),
        ),
        Markup(f"<script>{call}.catch(console.error);</script>\n"),
    )


def colour_key(colours: dict[str, str]) -> Markup:
    """Which colour is what."""
    entries = (
        element("li", element("i", style=f"background:{colour}"), name)
        for name, colour in colours.items()
    )
    return element("ul", *entries, class_="key")


def data(rows: list[dict[str, Any]]) -> Any:
    """Rows for a chart."""
    return altair.Data(values=rows)


def scale(colours: dict[str, str]) -> Any:
    """Colours by name."""
    return altair.Scale(domain=list(colours), range=list(colours.values()))
