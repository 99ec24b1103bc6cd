# SPDX-License-Identifier: Apache-2.0
"""The memory map as a picture: operator steps across, addresses up, one rectangle a buffer."""

from __future__ import annotations

import io

from converter.plan.report import BufferKind, MemoryReport

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
