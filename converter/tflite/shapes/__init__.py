# SPDX-License-Identifier: Apache-2.0
"""Output shapes of builtin operators from their operands: one rule an operator, in one table.

Used to follow the batch that a file leaves open (`converter.tflite.static_shapes`) and to check the
shapes that a file states (`converter.tflite.operators`): LiteRT computes shapes anew, TFLM takes
the file's word, so that one wrong number there is a buffer overrun or a wrong result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from converter.tflite.shapes import arithmetic, images, lookups, moves
from converter.tflite.shapes.known import InvalidShapeError, Known, Shape, UnknownError

__all__ = ["InvalidShapeError", "Known", "Shape", "UnknownError", "output_shapes"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SAME = _names(
    "ABS CAST CEIL COS DEQUANTIZE ELU EXP FLOOR GELU HARD_SWISH L2_NORMALIZATION LEAKY_RELU"
    " LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_NOT LOGISTIC LOG_SOFTMAX NEG QUANTIZE RELU RELU6"
    " RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIGN SIN SOFTMAX SQRT SQUARE TANH ZEROS_LIKE"
)
_BROADCASTING = _names(
    "ADD ATAN2 DIV EQUAL FLOOR_DIV FLOOR_MOD GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND"
    " LOGICAL_OR MAXIMUM MINIMUM MUL NOT_EQUAL POW SELECT_V2 SQUARED_DIFFERENCE SUB"
)
_REDUCING = _names("MEAN SUM REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD")

ONE_RESULT: dict[str, Callable[[Known], Shape]] = {
    **dict.fromkeys(_SAME, arithmetic.same),
    **dict.fromkeys(_BROADCASTING, arithmetic.broadcasting),
    **dict.fromkeys(_REDUCING, arithmetic.reduced),
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D", "L2_POOL_2D"), images.pool),
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), moves.padded),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), images.resized),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), arithmetic.arg_extreme),
    "ADD_N": arithmetic.all_equal,
    "BATCH_MATMUL": arithmetic.matmul,
    "BATCH_TO_SPACE_ND": images.batch_to_space,
    "BROADCAST_ARGS": lookups.broadcast_args,
    "BROADCAST_TO": moves.broadcast_to,
    "CONCATENATION": moves.joined,
    "CONV_2D": images.conv,
    "CUMSUM": lookups.cumulated,
    "DEPTHWISE_CONV_2D": images.depthwise,
    "DEPTH_TO_SPACE": images.depth_to_space,
    "DYNAMIC_UPDATE_SLICE": lookups.updated,
    "EMBEDDING_LOOKUP": lookups.embedded,
    "EXPAND_DIMS": moves.expanded,
    "FILL": moves.filled,
    "FULLY_CONNECTED": arithmetic.fully_connected,
    "GATHER": lookups.gathered,
    "GATHER_ND": lookups.gathered_nd,
    "ONE_HOT": lookups.one_hot,
    "PACK": moves.packed,
    "PRELU": arithmetic.prelu,
    "RANGE": lookups.ranged,
    "RANK": lookups.scalar,
    "RESHAPE": moves.reshaped,
    "REVERSE_V2": lookups.reverse,
    "SELECT": arithmetic.select,
    "SHAPE": lookups.shape_of,
    "SLICE": moves.sliced,
    "SPACE_TO_BATCH_ND": images.space_to_batch,
    "SPACE_TO_DEPTH": images.space_to_depth,
    "SQUEEZE": moves.squeezed,
    "STRIDED_SLICE": moves.strided,
    "TILE": moves.tiled,
    "TRANSPOSE": moves.transposed,
    "TRANSPOSE_CONV": images.transpose_conv,
}
SEVERAL_RESULTS: dict[str, Callable[[Known], Sequence[Shape]]] = {
    "SPLIT": moves.split,
    "SPLIT_V": moves.split_v,
    "TOPK_V2": moves.top_k,
    "UNPACK": moves.unpacked,
}


def output_shapes(known: Known) -> tuple[Shape, ...]:
    """Shapes of an operator's results.

    Raises:
      UnknownError: no rule, or they depend on values that only a run computes.
      InvalidShapeError: the operator cannot run on these operands.
    """
    name = known.op.opcode
    try:
        if name in SEVERAL_RESULTS:
            return tuple(SEVERAL_RESULTS[name](known))
        if name in ONE_RESULT:
            return (ONE_RESULT[name](known),)
    except (UnknownError, InvalidShapeError):
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InvalidShapeError(f"its operands do not fit together ({error})") from error
    raise UnknownError
