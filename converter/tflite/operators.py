# SPDX-License-Identifier: Apache-2.0
"""Checks every operator of a graph by the table of what TFLite states of it.

LiteRT refuses such files when it prepares them; TFLM aborts the program, or runs them wrongly. All
is looked up in tables: `operator_table` (versions, types, options, scales), `shapes`, and the
ranges of option fields below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from converter.tflite.model import Graph, Operator, Tensor, TfliteError
from converter.tflite.operator_table import TABLE, Row, letter
from converter.tflite.quantization_rules import Operands
from converter.tflite.schema import OPTION_TYPES, schema
from converter.tflite.shapes import InvalidShapeError, UnknownError, output_shapes
from converter.tflite.shapes.known import known_of

_LARGEST = (1 << 31) - 1
_POSITIVE = (1, 1 << 16)
# Ranges of option fields, for whichever operator has a field of that name; numbers that are not
# here must be finite.
_FIELDS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("strideH", "strideW", "filterHeight", "filterWidth", "blockSize"), _POSITIVE),
    **dict.fromkeys(("dilationHFactor", "dilationWFactor", "num", "numSplits"), _POSITIVE),
    "depthMultiplier": (0, 1 << 16),
    "fusedActivationFunction": (0, schema.ActivationFunctionType.RELU6),
    "padding": (schema.Padding.SAME, schema.Padding.VALID),
    "mode": (schema.MirrorPadMode.REFLECT, schema.MirrorPadMode.SYMMETRIC),
    "weightsFormat": (0, 0),  # shuffled weights are of LiteRT's optimized kernels alone
    "offset": (0, 0),  # STRIDED_SLICE's ends that count from the start: LiteRT crashes on some
    "ellipsisMask": (0, _LARGEST),
    "newAxisMask": (0, _LARGEST),
}
_BIAS_TYPES = (schema.TensorType.FLOAT32, schema.TensorType.INT32, schema.TensorType.INT64)
_CHOICES: Mapping[str, tuple[int, ...]] = {"quantizedBiasType": _BIAS_TYPES}  # the first: not said


def check_forms(graph: Graph) -> None:
    """Raises TfliteError for the first operator in a form that no runtime accepts.

    Versions, types and number of operands, options and scales; not shapes.
    """
    for index, op in enumerate(graph.operators):
        if (reason := _form_fault(graph.tensors, op)) is not None:
            raise TfliteError(f"operator {index} ({op.name}): {reason}")


def check_shapes(graph: Graph) -> None:
    """Raises TfliteError for the first operator whose results have not the shapes that follow."""
    for index, op in enumerate(graph.operators):
        if (reason := _shape_fault(graph.tensors, op)) is not None:
            raise TfliteError(f"operator {index} ({op.name}): {reason}")


def operator_fault(tensors: Sequence[Tensor], op: Operator) -> str | None:
    """Why the reader would refuse an operator, form or shapes; None if it would not."""
    return _form_fault(tensors, op) or _shape_fault(tensors, op)


def _form_fault(tensors: Sequence[Tensor], op: Operator) -> str | None:
    if op.opcode == "CUSTOM":
        return None if op.custom_code else "got a custom operator without a name"
    row = TABLE.get(op.opcode)
    if row is None:
        return (
            "no runtime of this tool has this operator; expected those of "
            "docs/supported_operators.md"
        )
    if not row.oldest <= op.version <= row.version:
        return f"got version {op.version}, expected {row.oldest}..{row.version}"
    inputs = tuple(tensors[i] if i >= 0 else None for i in op.inputs)
    outputs = tuple(tensors[i] for i in op.outputs)
    return (
        _types(row, inputs, outputs)
        or _options(row, op)
        or _channels(row, inputs, outputs)
        or _rules(row, op, inputs, outputs)
    )


def _types(row: Row, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> str | None:
    found = (
        "".join("-" if t is None else letter(t.dtype) for t in inputs)
        + ">"
        + "".join(letter(t.dtype) for t in outputs)
    )
    if row.pattern.fullmatch(found):
        return None
    named = ", ".join("none" if t is None else t.dtype.name for t in inputs)
    results = ", ".join(t.dtype.name for t in outputs)
    return (
        f"got operands ({named}) -> ({results}), which TFLite's kernels do not take (expected "
        f"{row.types} in the letters of converter/tflite/operator_table.py)"
    )


def _options(row: Row, op: Operator) -> str | None:
    if op.options is None:
        return f"got no options, expected {row.options}" if row.needs_options else None
    kind = OPTION_TYPES.get(op.options_type, str(op.options_type))
    if kind != row.options:
        return f"got options of {kind}, expected {row.options or 'none'}"
    for name, value in vars(op.options).items():
        fault = _field(name, value)
        if fault is not None:
            return fault
    return None


def _field(name: str, value: Any) -> str | None:
    if not isinstance(value, int | float):
        return None
    if value not in _CHOICES.get(name, (value,)):
        return f"option {name}: got {value}, expected one of {_CHOICES[name]}"
    low, high = _FIELDS.get(name, (-math.inf, math.inf))
    if not (low <= value <= high and math.isfinite(value)):
        return f"option {name}: got {value}, expected {low}..{high}"
    return None


def _channels(
    row: Row, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]
) -> str | None:
    """Several scales only where the kernels read them."""
    for position, t in enumerate((*inputs, *outputs)):
        if t is None or t.quantization is None or len(t.quantization.scale) == 1:
            continue
        if (position, t.quantization.axis) not in row.channels or position >= len(inputs):
            return (
                f"tensor {t.name!r}: got {len(t.quantization.scale)} scales along dimension "
                f"{t.quantization.axis}, expected one for this operand"
            )
    return None


def _rules(
    row: Row, op: Operator, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]
) -> str | None:
    operands = Operands(inputs, outputs, op.options)
    return next((fault for rule in row.rules if (fault := rule(operands)) is not None), None)


def _shape_fault(tensors: Sequence[Tensor], op: Operator) -> str | None:
    try:
        expected = output_shapes(known_of(tensors, op))
    except UnknownError:
        return None
    except InvalidShapeError as error:
        return str(error)
    for i, shape in zip(op.outputs, expected, strict=True):
        t = tensors[i]
        if t.shape != shape:
            return f"output {t.name!r}: got shape {list(t.shape)}, expected {list(shape)}"
    return None
