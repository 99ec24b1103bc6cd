# SPDX-License-Identifier: Apache-2.0
"""The graph before and after fusing: each plain operator above the one that replaces it."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

import altair as alt

from converter.inspect.operators import OperatorFigures
from converter.inspect.sources import Before
from converter.page.figures import MUTED, PALETTE, data, scale
from converter.page.markup import Markup
from converter.page.tables import table

_PRODUCTS, _MOVES, _TYPES, _REST = (
    "matrix products", "moves of data", "changes of type", "arithmetic and functions",
)  # fmt: skip
_KINDS = {
    _PRODUCTS: "FULLY_CONNECTED BATCH_MATMUL CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV",
    _MOVES: "RESHAPE TRANSPOSE SLICE STRIDED_SLICE CONCATENATION SPLIT SPLIT_V PACK UNPACK GATHER "
    "GATHER_ND PAD PADV2 MIRROR_PAD EXPAND_DIMS SQUEEZE BROADCAST_TO TILE SPACE_TO_BATCH_ND "
    "BATCH_TO_SPACE_ND SPACE_TO_DEPTH DEPTH_TO_SPACE SHAPE",
    _TYPES: "QUANTIZE DEQUANTIZE CAST",
}
_FUSED, _KEPT = "fused operator", "kept as it was"
COLOURS = {
    _PRODUCTS: PALETTE[0],
    _REST: PALETTE[2],
    _MOVES: PALETTE[1],
    _TYPES: PALETTE[3],
    _FUSED: PALETTE[5],
    _KEPT: MUTED,
}
_MOST_NUMBERS = 40  # operators whose numbers are written into the strip


def kind_of(operator: str) -> str:
    """What a plain operator does, in four groups."""
    return next((kind for kind, names in _KINDS.items() if operator in names.split()), _REST)


def state_of(operator: OperatorFigures) -> str:
    """What became of plain operators."""
    return _FUSED if operator.fused else _KEPT


def strips(before: Before, operators: Sequence[OperatorFigures]) -> Any:
    """Two rows of boxes, as wide as the operators are many."""
    rows, start = [], 0
    for o, replaced in zip(operators, before.replaced, strict=True):
        for place, number in enumerate(replaced):
            name = before.operators[number]
            rows.append(_box("before", f"{number} {name}", kind_of(name), start + place, 1))
        width = max(1, len(replaced))
        name, count = f"{o.op} {o.name}", len(replaced)
        rows.append(_box("after", name, state_of(o), start, width, count, str(o.op)))
        start += width
    base = alt.Chart(data(rows)).encode(
        y=alt.Y("row:N", sort=["before", "after"], title=None),
        tooltip=["operator:N", "kind:N", alt.Tooltip("replaces:Q", title="plain operators")],
    )
    along = alt.X(
        "from:Q",
        title="plain operators",
        scale=alt.Scale(domain=[0, start], nice=False),
    )
    boxes = base.mark_rect(stroke="currentColor", strokeWidth=0.25, strokeOpacity=0.5).encode(
        x=along,
        x2="to:Q",
        description="says:N",
        color=alt.Color("kind:N", scale=scale(COLOURS), legend=None),
    )
    layers = [boxes]
    if len(operators) <= _MOST_NUMBERS:
        numbers = base.transform_filter("datum.row == 'after'")
        middle = numbers.mark_text(fontSize=10, fill="#fff", aria=False)
        middle = middle.encode(x="middle:Q", text="label:N")
        layers.append(middle)
    return alt.layer(*layers).properties(height=96)


def _box(
    row: str, operator: str, kind: str, start: int, width: int, replaces: int = 1, label: str = ""
) -> Any:
    return {
        "row": row, "operator": operator, "kind": kind, "from": start, "to": start + width,
        "middle": start + width / 2, "replaces": replaces, "label": label,
        "says": f"{row}: {operator}, {kind}" + (f", replaces {replaces}" if row == "after" else ""),
    }  # fmt: skip


def replaced_table(before: Before, operators: Sequence[OperatorFigures]) -> Markup:
    """What each operator replaces, in words."""
    rows = []
    for o, replaced in zip(operators, before.replaced, strict=True):
        counts = collections.Counter(before.operators[number] for number in replaced)
        listed = ", ".join(f"{n} {name}" if n > 1 else name for name, n in counts.items())
        rows.append((f"{o.op} {o.name}", len(replaced), listed))
    return table(("operator", "plain operators", "which"), rows)
