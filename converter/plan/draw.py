# SPDX-License-Identifier: Apache-2.0
"""The memory map as a picture: operator steps across, addresses up, one rectangle a buffer."""

from __future__ import annotations

import html
import io

from converter.plan.report import BufferKind, MemoryReport, Rectangle

COLOURS: dict[BufferKind, str] = {
    BufferKind.IMAGE: "#8da0cb",
    BufferKind.STRIP: "#80b1d3",
    BufferKind.TOKENS: "#66c2a5",
    BufferKind.ACTIVATIONS: "#a6d854",
    BufferKind.KEYS_VALUES: "#fc8d62",
    BufferKind.SCRATCH: "#ffd92f",
    BufferKind.PERSISTENT: "#b3b3b3",
}
LABEL_SHARE = 0.04  # rectangles at least this high, as a share of the arena, carry their size

_STYLE = """body{font:14px system-ui,sans-serif;margin:1.5em;max-width:70em}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;text-align:left}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}tr:nth-child(even){background:#f4f4f4}
svg text{font:11px system-ui,sans-serif}.key span{display:inline-block;padding:.1em .6em;
margin-right:.4em}rect.b:hover{stroke:#000;stroke-width:2}"""


def _tooltip(r: Rectangle) -> str:
    return (
        f"{r.name}: {r.size_bytes:,} bytes at {r.offset:,}, {r.kind.value}, "
        f"steps {r.lower} to {r.upper - 1}"
    )


def svg(report: MemoryReport, width: int = 1100, height: int = 520) -> str:
    """A self-contained SVG; each rectangle has a tooltip."""
    left, bottom, top = 70, 40, 16
    steps = len(report.ops) + 1
    arena = max(1, report.arena_bytes)
    x_scale, y_scale = (width - left - 10) / steps, (height - bottom - top) / arena

    def x_of(step: float) -> float:
        return left + step * x_scale

    def y_of(address: float) -> float:
        return height - bottom - address * y_scale

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="memory map">',
        f'<rect x="{x_of(report.peak.op + 1):.1f}" y="{top}" width="{x_scale:.1f}" '
        f'height="{height - bottom - top}" fill="#eeeeee"/>',
    ]
    for r in report.rectangles:
        parts.append(
            f'<rect class="b" x="{x_of(r.lower):.1f}" y="{y_of(r.offset + r.size_bytes):.1f}" '
            f'width="{(r.upper - r.lower) * x_scale:.1f}" height="{r.size_bytes * y_scale:.1f}" '
            f'fill="{COLOURS[r.kind]}" fill-opacity="0.8" stroke="#555" stroke-width="0.5">'
            f"<title>{html.escape(_tooltip(r))}</title></rect>"
        )
    for i in range(5):
        address = arena * i // 4
        parts.append(
            f'<text x="{left - 6}" y="{y_of(address) + 4:.1f}" text-anchor="end">{address:,}</text>'
        )
    every = max(1, steps // 26)
    for step in range(0, steps, every):
        label = "in" if step == 0 else str(step - 1)
        parts.append(
            f'<text x="{x_of(step + 0.5):.1f}" y="{height - bottom + 14}" '
            f'text-anchor="middle">{label}</text>'
        )
    parts.append(
        f'<text x="{(left + width) / 2:.0f}" y="{height - 6}" text-anchor="middle">operator '
        f"(peak: op {report.peak.op} {html.escape(report.peak.name)})</text></svg>"
    )
    return "\n".join(parts)


def html_page(report: MemoryReport, title: str, tables: list[tuple[str, list[list[str]]]]) -> str:
    """A page with the map and tables; nothing is loaded from elsewhere.

    Args:
      tables: (heading, rows); the first row is the header, numbers end with a digit.
    """
    used = [k for k in BufferKind if any(r.kind == k for r in report.rectangles)]
    key = "".join(f'<span style="background:{COLOURS[k]}">{k.value}</span>' for k in used)
    body = "".join(_html_table(heading, rows) for heading, rows in tables)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1><p class=key>{key}</p>\n{svg(report)}\n{body}"
        "</body></html>\n"
    )


def _html_table(heading: str, rows: list[list[str]]) -> str:
    def row(cells: list[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if i else ''}>{html.escape(c)}</{tag}>" for i, c in enumerate(cells)
        )

    head, *body = rows
    lines = "".join(f"<tr>{row(cells, 'td')}</tr>\n" for cells in body)
    return f"<h2>{html.escape(heading)}</h2><table><tr>{row(head, 'th')}</tr>\n{lines}</table>"


def png(report: MemoryReport, title: str) -> bytes:
    """The map as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.patches import Rectangle as Box

    figure = Figure(figsize=(12, 6), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(report.peak.op + 1, report.peak.op + 2, color="#eeeeee", zorder=0)
    for r in report.rectangles:
        box = Box(
            (r.lower, r.offset), r.upper - r.lower, r.size_bytes,
            facecolor=COLOURS[r.kind], edgecolor="#555555", linewidth=0.5, alpha=0.8,
        )  # fmt: skip
        axes.add_patch(box)
        if r.size_bytes >= LABEL_SHARE * report.arena_bytes and r.upper - r.lower > 1:
            axes.text(
                (r.lower + r.upper) / 2, r.offset + r.size_bytes / 2, f"{r.size_bytes:,}",
                ha="center", va="center", fontsize=5, rotation=90,
            )  # fmt: skip
    axes.set_xlim(0, len(report.ops) + 1)
    axes.set_ylim(0, max(1, report.arena_bytes) * 1.02)
    axes.set_xlabel(f"step (0: inputs, i + 1: operator i); peak: op {report.peak.op} "
                    f"{report.peak.name}")  # fmt: skip
    axes.set_ylabel("arena offset, bytes")
    axes.set_title(title)
    used = [k for k in BufferKind if any(r.kind == k for r in report.rectangles)]
    handles = [Patch(facecolor=COLOURS[k], label=k.value) for k in used]
    axes.legend(handles=handles, loc="upper right", fontsize=8)
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()
