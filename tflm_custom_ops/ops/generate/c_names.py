# SPDX-License-Identifier: Apache-2.0
"""Names and expressions of the declarations in C."""

from __future__ import annotations

from collections.abc import Iterator

from tflm_custom_ops.ops.base import Params
from tflm_custom_ops.ops.registry import OPERATORS
from tflm_custom_ops.ops.schema import Expression, Field, Part, Struct, fields_of
from tflm_custom_ops.ops.schema.expression import to_c
from tflm_custom_ops.ops.schema.limits import LIMITS

COLUMNS = 100


def structs() -> tuple[type[Struct], ...]:
    """Every struct, parts before those that contain them."""
    found: dict[type[Struct], None] = {}

    def visit(struct: type[Struct]) -> None:
        for field in fields_of(struct):
            if isinstance(field.kind, Part):
                visit(field.type)
        found[struct] = None

    for operator in OPERATORS:
        visit(operator.PARAMS)
    return tuple(found)


def parts() -> tuple[type[Struct], ...]:
    """The structs that are parts of operators."""
    return tuple(s for s in structs() if not issubclass(s, Params))


def field_named(struct: type[Struct], name: str) -> Field | None:
    """The declared field of that name."""
    return next((f for f in fields_of(struct) if f.name == name), None)


def in_c(text: str, struct: type[Struct], prefix: str) -> str:
    """An expression of a struct's fields in C; ``prefix`` leads to the struct: ``p->``."""

    def name(path: tuple[str, ...]) -> str:
        return _name(path, struct, prefix)

    return to_c(text, name)


def _name(path: tuple[str, ...], struct: type[Struct], prefix: str) -> str:
    first, *rest = path
    if not rest and first in LIMITS:
        return f"VIT_{first}"
    if not rest and first in struct.PARAMETERS:
        return first
    field = field_named(struct, first)
    if field is not None and rest:
        return _name(tuple(rest), field.type, f"{prefix}{first}.")
    if field is not None:
        return first if field.is_read_ahead else f"{prefix}{first}"
    given = struct.__dict__.get(first)
    if isinstance(given, Expression) and not rest:
        text = in_c(given.text, struct, prefix)
        return (
            text
            if text.replace("->", "").replace(".", "").replace("_", "").isalnum()
            else f"({text})"
        )
    raise ValueError(f"{struct.__name__}: has no field {'.'.join(path)!r}")


def call(function: str, arguments: list[str], indent: int, end: str = ";") -> str:
    """A call, wrapped behind its parenthesis where it is too long for a line."""
    start = f"{' ' * indent}{function}("
    line = start + ", ".join(arguments) + ")" + end
    if len(line) <= COLUMNS:
        return line
    lines, current = [], start
    for i, argument in enumerate(arguments):
        text = argument + (")" + end if i + 1 == len(arguments) else ",")
        if len(current) + 1 + len(text) > COLUMNS and current.strip() != start.strip():
            lines.append(current)
            current = " " * len(start) + text
        else:
            current += text if current.endswith("(") else f" {text}"
    return "\n".join([*lines, current])


def comment(text: str, indent: int = 0) -> Iterator[str]:
    """``//`` lines of a text, wrapped."""
    for paragraph in text.strip().split("\n"):
        line = " " * indent + "//"
        for word in paragraph.split():
            if len(line) + 1 + len(word) > COLUMNS:
                yield line
                line = " " * indent + "//"
            line += f" {word}"
        yield line
