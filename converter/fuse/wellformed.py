# SPDX-License-Identifier: Apache-2.0
"""Operators have the operands and options of their kind (TFLite schema); checked once, up front."""

from __future__ import annotations

import dataclasses

from converter.tflite import Graph, TfliteError


@dataclasses.dataclass(frozen=True)
class OperandCounts:
    """What an operator must have.

    Attributes:
      inputs: least number of inputs; none of these may be absent.
      most: greatest number of inputs.
      outputs: number of outputs, 0 for any.
      options: whether its options object must be there.
    """

    inputs: int
    most: int
    outputs: int = 1
    options: bool = False


_UNARY, _BINARY = OperandCounts(1, 1), OperandCounts(2, 2)
_MANY = 1 << 16

FORMS: dict[str, OperandCounts] = {
    **dict.fromkeys(("ADD", "SUB", "MUL", "DIV", "SQUARED_DIFFERENCE", "POW"), _BINARY),
    **dict.fromkeys(
        ("MAXIMUM", "MINIMUM", "TRANSPOSE", "EXPAND_DIMS", "BROADCAST_TO", "TILE"), _BINARY
    ),
    **dict.fromkeys(("SQUARE", "NEG", "RSQRT", "SQRT", "ABS", "EXP", "ELU", "GELU"), _UNARY),
    **dict.fromkeys(("RELU", "RELU6", "RELU_N1_TO_1", "HARD_SWISH", "LOGISTIC", "TANH"), _UNARY),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE", "SQUEEZE"), _UNARY),
    "PAD": _BINARY,
    **dict.fromkeys(("LOG", "SIN", "COS", "FLOOR", "CEIL", "ROUND", "SIGN"), _UNARY),
    **dict.fromkeys(("RELU_0_TO_1", "L2_NORMALIZATION", "LOG_SOFTMAX"), _UNARY),
    **dict.fromkeys(("EQUAL", "FLOOR_DIV", "FLOOR_MOD", "GATHER_ND"), _BINARY),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), _BINARY),
    "TOPK_V2": OperandCounts(2, 2, outputs=0),
    "CUMSUM": OperandCounts(2, 2, options=True),
    "SELECT": OperandCounts(3, 3),
    "SELECT_V2": OperandCounts(3, 3),
    "REDUCE_MAX": OperandCounts(2, 2, options=True),
    "RESHAPE": OperandCounts(1, 2),
    "SLICE": OperandCounts(3, 3),
    "LEAKY_RELU": OperandCounts(1, 1, options=True),
    "SOFTMAX": OperandCounts(1, 1, options=True),
    "SPACE_TO_DEPTH": OperandCounts(1, 1, options=True),
    "DEPTH_TO_SPACE": OperandCounts(1, 1, options=True),
    "MEAN": OperandCounts(2, 2, options=True),
    "SUM": OperandCounts(2, 2, options=True),
    "GATHER": OperandCounts(2, 2, options=True),
    "STRIDED_SLICE": OperandCounts(4, 4, options=True),
    "SPLIT": OperandCounts(2, 2, outputs=0, options=True),
    "SPLIT_V": OperandCounts(3, 3, outputs=0, options=True),
    "UNPACK": OperandCounts(1, 1, outputs=0, options=True),
    "PACK": OperandCounts(1, _MANY, options=True),
    "CONCATENATION": OperandCounts(1, _MANY, options=True),
    "BATCH_MATMUL": OperandCounts(2, 2, options=True),
    "FULLY_CONNECTED": OperandCounts(2, 3, options=True),
    "CONV_2D": OperandCounts(2, 3, options=True),
}


def check_operators(graph: Graph) -> None:
    """Checks every operator that the fuser looks into.

    Raises:
      TfliteError: an operator lacks operands or options; names it.
    """
    for index, op in enumerate(graph.operators):
        form = FORMS.get(op.opcode)
        if form is None:
            continue
        where = f"operator {index} ({op.opcode})"
        least = form.inputs
        if not least <= len(op.inputs) <= form.most or any(i < 0 for i in op.inputs[:least]):
            raise TfliteError(
                f"{where}: got inputs {list(op.inputs)}, expected {least} to {form.most}"
            )
        if form.outputs and len(op.outputs) != form.outputs:
            raise TfliteError(f"{where}: got {len(op.outputs)} outputs, expected {form.outputs}")
        if form.options and op.options is None:
            raise TfliteError(f"{where}: got no options, expected those of its kind")
