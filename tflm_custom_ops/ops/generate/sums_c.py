# SPDX-License-Identifier: Apache-2.0
"""Functions of ``kernels/vit_parse.c`` that check the sums of all layers of an operator."""

from __future__ import annotations

from typing import Any

from tflm_custom_ops.ops.base import FusedOperator
from tflm_custom_ops.ops.generate.c_names import in_c, parts
from tflm_custom_ops.ops.parts import Linear
from tflm_custom_ops.ops.registry import OPERATORS
from tflm_custom_ops.ops.schema import Part, Struct, fields_of


def has_layers(struct: type[Struct]) -> bool:
    """Whether there is a layer in a struct or in a part of it."""
    inner = [f.type for f in fields_of(struct) if isinstance(f.kind, Part)]
    return struct is Linear or any(has_layers(part) for part in inner)


def sums_prototype(operator: type[FusedOperator[Any]], end: str) -> str:
    """The check's head."""
    return f"VitStatus vit_check_sums_{operator.NAME}(const {operator.PARAMS.C_TYPE}* p){end}"


def sums_sections() -> list[str]:
    """The definitions, those of parts first."""
    inner = [struct for struct in parts() if struct is not Linear and has_layers(struct)]
    return [*map(_part, inner), *(_operator(o) for o in OPERATORS if has_layers(o.PARAMS))]


def _name(struct: type[Struct]) -> str:
    return "vit_is_exact" if struct is Linear else f"exact_{struct.__name__.lower()}"


def _part(struct: type[Struct]) -> str:
    head = f"static int {_name(struct)}(const {struct.C_TYPE}* p) {{"
    return "\n".join([head, f"  return {_all_exact(struct)};", "}"])


def _operator(operator: type[FusedOperator[Any]]) -> str:
    exact = _all_exact(operator.PARAMS)
    status = f"  return {exact} ? kVitOk : kVitBadSums;"
    return "\n".join([sums_prototype(operator, " {"), status, "}"])


def _all_exact(struct: type[Struct]) -> str:
    found = []
    for field in fields_of(struct):
        if not isinstance(field.kind, Part) or not has_layers(field.type):
            continue
        exact = f"{_name(field.type)}(&p->{field.name})"
        if field.kind.present:
            exact = f"(!({in_c(field.kind.present, struct, 'p->')}) || {exact})"
        found.append(exact)
    return " && ".join(found)
