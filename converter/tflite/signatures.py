# SPDX-License-Identifier: Apache-2.0
"""Which subgraph of a file is the network: files may hold several inference functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from converter.tflite.model import Operator, TfliteError

# Operators whose options name other subgraphs.
_CALLS = frozenset(
    [
        "CALL",
        "CALL_ONCE",
        "IF",
        "STABLEHLO_COMPOSITE",
        "STABLEHLO_REDUCE",
        "STABLEHLO_REDUCE_WINDOW",
        "STABLEHLO_SCATTER",
        "STABLEHLO_SORT",
        "STABLEHLO_WHILE",
        "WHILE",
    ]
)


def check_no_calls(operators: Sequence[Operator]) -> None:
    """Raises TfliteError for an operator that runs another subgraph."""
    for index, op in enumerate(operators):
        if op.opcode in _CALLS:
            raise TfliteError(
                f"operator {index} ({op.name}): control flow is not supported; export an "
                "inference function without loops and branches"
            )


def text(value: Any) -> str:
    """A string of the file."""
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def chosen_subgraph(raw: Any, key: str | None) -> int:
    """Index of the subgraph to read.

    Args:
      raw: the schema's ModelT.
      key: of the wanted signature; None where the file has one subgraph or one signature.

    Raises:
      TfliteError: no such signature, several and none chosen, or several subgraphs without any
        (the branches of control flow).
    """
    count = 0 if raw.subgraphs is None else len(raw.subgraphs)
    if any(s.signatureKey is None for s in raw.signatureDefs or ()):
        raise TfliteError("got a signature without a name, expected one")
    places = {text(s.signatureKey): int(s.subgraphIndex) for s in raw.signatureDefs or ()}
    names = ", ".join(repr(name) for name in places)
    if key is not None:
        if key not in places:
            raise TfliteError(f"got signature {key!r}, expected one of {names or 'none: no names'}")
        found = places[key]
    elif count == 1:
        return 0
    elif len(set(places.values())) == 1:
        found = next(iter(places.values()))
    elif places:
        raise TfliteError(
            f"got {len(places)} signatures, {names}, expected one; choose with --signature=NAME "
            "(converter.fuse)"
        )
    else:
        raise TfliteError(
            f"got {count} subgraphs, expected 1: control flow is not supported; export one "
            "inference function"
        )
    if not 0 <= found < count:
        raise TfliteError(f"signature: got subgraph {found}, expected 0..{count - 1}")
    return found
