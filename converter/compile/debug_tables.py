# SPDX-License-Identifier: Apache-2.0
"""Tables of the debug build (``runtime/vit_model_debug.h``)."""

from __future__ import annotations

from collections.abc import Sequence

from converter.compile import c_text
from converter.compile.arena import OpSpans
from converter.plan.layout import Span


def _table(name: str, ranges: Sequence[Span]) -> list[str]:
    if not ranges:
        return []
    rows = c_text.array_rows([f"{{{r.offset}, {r.end}}}" for r in ranges])
    rows[-1] += "};"
    head = f"static const VitDebugRange {name}[] = {{"
    if len(rows) == 1 and len(head) + len(rows[0].strip()) <= 100:
        return [head + rows[0].strip()]
    return [head, *rows]


def _reference(name: str, ranges: Sequence[Span]) -> str:
    return f"{{{name}, {len(ranges)}}}" if ranges else "{NULL, 0}"


def tables(ops: Sequence[OpSpans]) -> list[str]:
    """C lines that define ``kDebugOps``."""
    lines: list[str] = []
    entries = []
    for i, op in enumerate(ops):
        groups = (("Live", op.live), ("Kept", op.kept), ("Touched", op.touched))
        for what, ranges in groups:
            lines += _table(f"k{what}{i}", ranges)
        values = ", ".join(_reference(f"k{what}{i}", ranges) for what, ranges in groups)
        entries.append(f"    {{{values}}},")
    return [*lines, "static const VitDebugOp kDebugOps[VIT_MODEL_OP_COUNT] = {", *entries, "};"]
