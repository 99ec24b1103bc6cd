# SPDX-License-Identifier: Apache-2.0
"""What TFLite states of each builtin operator: versions, options, operands, quantization.

One row an operator. The greatest versions are those that the pinned LiteRT registers (a test asks
it); types and quantization are those of its kernels' Prepare functions, narrowed to what TFLM's
accept as well (tensorflow/lite/kernels, tflite-micro kernels of the same names; TFLite 8-bit
quantization specification). `converter.tflite.operators` checks files by it.

Operand types are one letter each, in a regular expression over ``INPUTS>OUTPUTS``:

    f float32   h float16   d float64   b int8   u uint8   s int16   H uint16
    i int32     I uint32    l int64     ? bool (written B)           - an absent optional input

``bb[i-]?>b`` is int8 input and weights, a bias of int32 or none, an int8 result.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping

import numpy as np

from converter.tflite import quantization_rules as q
from converter.tflite import rescaling_rules as r

LETTERS: Mapping[str, str] = {
    "float32": "f", "float16": "h", "float64": "d", "int8": "b", "uint8": "u", "int16": "s",
    "uint16": "H", "int32": "i", "uint32": "I", "int64": "l", "bool": "B",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Row:
    """One builtin operator.

    Attributes:
      name: as in the schema.
      version: greatest version.
      types: expression over the operands' letters; it fixes their number as well.
      options: class of its options, "" where it has none.
      needs_options: a file without them means nothing (strides of 0).
      rules: about scales and zero points.
      channels: (operand, dimension) pairs that may have a scale per channel.
      oldest: least version.
    """

    name: str
    version: int
    types: str
    options: str = ""
    needs_options: bool = False
    rules: tuple[q.Rule, ...] = ()
    channels: tuple[tuple[int, int], ...] = ()
    oldest: int = 1

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(self.types)


def letter(dtype: np.dtype[np.generic]) -> str:
    """Of a type."""
    return LETTERS[dtype.name]


def _binary(types: str, result: str = r"\1") -> str:
    return rf"([{types}])\1>{result}"


def _unary(types: str) -> str:
    return rf"([{types}])>\1"


_ANY = "fhdbusHiIlB"
_MOVED = "fbusilB"  # what kernels that only move values take
_CONV = "fff>f|fbf>f|bbi>b|sb[il]>s|uui>u"  # LiteRT refuses, or crashes on, one without a bias
_FULLY = "ff[f-]?>f|f[bu][f-]?>f|bb[i-]?>[bs]|sb[il-]?>s|uu[i-]?>[us]"
_INDEX = rf"([{_MOVED}])[il]>\1"
_REDUCE = r"([fbusil])i>\1"
_COMPARE = _binary("fbusilB", "B")
_RESULT_256 = q.fixed(
    bb=(1 / 256, -128), uu=(1 / 256, 0), ss=(1 / 32768, 0), bs=(1 / 65536, -32768)
)
_RESULT_128 = q.fixed(bb=(1 / 128, 0), uu=(1 / 128, 128), ss=(1 / 32768, 0))
_LAYER = (q.scaled, q.bias, q.bias_type, q.product_fits, q.sums_fit)
_CONVOLUTION = (*_LAYER, q.symmetric)

ROWS: tuple[Row, ...] = (
    Row("ABS", 5, _unary("fbsi"), "AbsOptions", rules=(q.scaled, r.one)),
    Row("ADD", 6, _binary("fbusil"), "AddOptions", True, (q.scaled, q.sum_fits)),
    Row("ADD_N", 1, r"([fi])\1*>\1", "AddNOptions"),
    Row("ARG_MAX", 3, "[fbuiB][il]>[il]", "ArgMaxOptions"),
    Row("ARG_MIN", 3, "[fbuiB][il]>[il]", "ArgMinOptions"),
    Row("ATAN2", 1, _binary("fd"), "ATan2Options"),
    Row("AVERAGE_POOL_2D", 3, _unary("fbus"), "Pool2DOptions", True, (q.scaled, q.same)),
    Row("BATCH_MATMUL", 4, "ff>f|fb>f|bb>[bi]|ss>s", "BatchMatMulOptions", True,
        (q.scaled, r.matrix)),
    Row("BATCH_TO_SPACE_ND", 4, r"([fbusil])ii>\1", "BatchToSpaceNDOptions", rules=(q.same,)),
    Row("BROADCAST_ARGS", 1, _binary("il")),
    Row("BROADCAST_TO", 4, _INDEX, "BroadcastToOptions", rules=(q.same,), oldest=2),
    Row("CAST", 9, "[fhdbusHiIlB]>[fhdbusHiIlB]", "CastOptions"),
    Row("CEIL", 1, _unary("f")),
    Row("CONCATENATION", 7, r"([fbusilBI])\1*>\1", "ConcatenationOptions", True,
        (q.no_activation, q.same)),
    Row("CONV_2D", 8, _CONV, "Conv2DOptions", True, _CONVOLUTION, ((1, 0), (2, 0))),
    Row("COS", 2, _unary("f"), "CosOptions"),
    Row("CUMSUM", 1, r"([bfil])i>\1", "CumsumOptions"),
    Row("DEPTHWISE_CONV_2D", 7, _CONV, "DepthwiseConv2DOptions", True, _CONVOLUTION,
        ((1, 3), (2, 0))),
    Row("DEPTH_TO_SPACE", 2, _unary("fbuil"), "DepthToSpaceOptions", True, (q.same,)),
    Row("DEQUANTIZE", 9, "[bus]>f|h>f", "DequantizeOptions", rules=(q.present,),
        channels=tuple((0, axis) for axis in range(6))),
    Row("DIV", 2, _binary("fuib"), "DivOptions", rules=(q.scaled, r.quotient)),
    Row("DYNAMIC_UPDATE_SLICE", 6, rf"([{_MOVED}])\1[il]>\1", "DynamicUpdateSliceOptions"),
    Row("ELU", 1, _unary("fb"), rules=(q.scaled,)),
    Row("EMBEDDING_LOOKUP", 5, "if>f|ib>[fb]|iu>[fu]", channels=((1, 0),)),
    Row("EQUAL", 5, _COMPARE, "EqualOptions", rules=(q.scaled, q.compared)),
    Row("EXP", 2, _unary("fbs"), "ExpOptions", rules=(q.scaled,)),
    Row("EXPAND_DIMS", 1, _INDEX, "ExpandDimsOptions", rules=(q.same,)),
    Row("FILL", 5, r"[il]([fbsilB])>\1", "FillOptions", rules=(q.filled,)),
    Row("FLOOR", 1, _unary("f")),
    Row("FLOOR_DIV", 3, _binary("filbs"), "FloorDivOptions"),
    Row("FLOOR_MOD", 2, _binary("filbs"), "FloorModOptions"),
    Row("FULLY_CONNECTED", 14, _FULLY, "FullyConnectedOptions", True, _LAYER, ((1, 0), (2, 0))),
    Row("GATHER", 8, rf"([{_MOVED}])[ils]>\1", "GatherOptions", True),
    Row("GATHER_ND", 6, rf"([{_MOVED}])[ils]>\1", "GatherNdOptions"),
    Row("GELU", 3, _unary("fbus"), "GeluOptions", rules=(q.scaled,)),
    Row("GREATER", 2, _COMPARE, "GreaterOptions", rules=(q.scaled, q.compared)),
    Row("GREATER_EQUAL", 3, _COMPARE, "GreaterEqualOptions", rules=(q.scaled, q.compared)),
    Row("HARD_SWISH", 1, _unary("fbu"), "HardSwishOptions", rules=(q.scaled, q.hard_swish_fits)),
    Row("L2_NORMALIZATION", 2, _unary("fbu"), "L2NormOptions", rules=(_RESULT_128,)),
    Row("L2_POOL_2D", 1, _unary("f"), "Pool2DOptions", True),
    Row("LEAKY_RELU", 2, _unary("fbus"), "LeakyReluOptions", True, (q.scaled, r.one)),
    Row("LESS", 3, _COMPARE, "LessOptions", rules=(q.scaled, q.compared)),
    Row("LESS_EQUAL", 2, _COMPARE, "LessEqualOptions", rules=(q.scaled, q.compared)),
    Row("LOCAL_RESPONSE_NORMALIZATION", 1, _unary("f"), "LocalResponseNormalizationOptions", True),
    Row("LOG", 2, _unary("fbs"), rules=(q.scaled,)),
    Row("LOGICAL_AND", 1, "BB>B", "LogicalAndOptions"),
    Row("LOGICAL_NOT", 1, "B>B", "LogicalNotOptions"),
    Row("LOGICAL_OR", 1, "BB>B", "LogicalOrOptions"),
    Row("LOGISTIC", 3, _unary("fbus"), rules=(q.scaled, _RESULT_256)),
    Row("LOG_SOFTMAX", 2, _unary("fbu"), "LogSoftmaxOptions",
        rules=(q.scaled, q.fixed(bb=(16 / 256, 127), uu=(16 / 256, 255)))),
    Row("MAXIMUM", 4, _binary("fbusil"), "MaximumMinimumOptions", rules=(q.same,)),
    Row("MAX_POOL_2D", 3, _unary("fbus"), "Pool2DOptions", True, (q.scaled, q.same)),
    Row("MEAN", 3, _REDUCE, "ReducerOptions", rules=(q.scaled, r.average)),
    Row("MINIMUM", 4, _binary("fbusil"), "MaximumMinimumOptions", rules=(q.same,)),
    Row("MIRROR_PAD", 3, _INDEX, "MirrorPadOptions", True, (q.same,)),
    Row("MUL", 8, _binary("fbusil"), "MulOptions", True, (q.scaled, r.product)),
    Row("NEG", 1, _unary("fil"), "NegOptions"),
    Row("NOT_EQUAL", 4, _COMPARE, "NotEqualOptions", rules=(q.scaled, q.compared)),
    Row("ONE_HOT", 1, r"[il]i([fbuilsB])\1>\1", "OneHotOptions", True),
    Row("PACK", 5, r"([fbusil])\1*>\1", "PackOptions", True, (q.same,)),
    Row("PAD", 6, _INDEX, "PadOptions", rules=(q.same,)),
    Row("PADV2", 6, rf"([{_MOVED}])[il]\1>\1", "PadV2Options", rules=(q.same,)),
    Row("POW", 1, _binary("fi"), "PowOptions"),
    Row("PRELU", 1, _binary("fbu"), rules=(q.scaled, r.sloped)),
    Row("QUANTIZE", 6, "f>[bus]|[busi]>[busi]", "QuantizeOptions", rules=(q.present, r.one)),
    Row("RANGE", 2, r"([fil])\1\1>\1", "RangeOptions"),
    Row("RANK", 1, f"[{_ANY}]>i", "RankOptions"),
    Row("REDUCE_ALL", 1, "Bi>B", "ReducerOptions"),
    Row("REDUCE_ANY", 1, "Bi>B", "ReducerOptions"),
    Row("REDUCE_MAX", 3, _REDUCE, "ReducerOptions", rules=(q.same,)),
    Row("REDUCE_MIN", 3, _REDUCE, "ReducerOptions", rules=(q.same,)),
    Row("REDUCE_PROD", 2, _REDUCE, "ReducerOptions", rules=(q.scaled,)),
    Row("RELU", 3, _unary("fbus"), rules=(q.scaled, r.one)),
    Row("RELU6", 3, _unary("fbus"), rules=(q.scaled, r.one)),
    Row("RELU_0_TO_1", 1, _unary("fbu"), rules=(q.scaled, r.one)),
    Row("RELU_N1_TO_1", 1, _unary("fbu"), rules=(q.scaled, r.one)),
    Row("RESHAPE", 1, rf"([{_ANY}])i?>\1", "ReshapeOptions", rules=(q.same,)),
    Row("RESIZE_BILINEAR", 4, r"([fbus])i>\1", "ResizeBilinearOptions", True, (q.same,)),
    Row("RESIZE_NEAREST_NEIGHBOR", 4, r"([fbus])i>\1", "ResizeNearestNeighborOptions", True,
        (q.same,)),
    Row("REVERSE_V2", 4, r"([fbusilB])i>\1", "ReverseV2Options", rules=(q.same,)),
    Row("ROUND", 1, _unary("f")),
    Row("RSQRT", 3, _unary("fbs"), rules=(q.scaled,)),
    Row("SELECT", 4, r"B([fbusilB])\1>\1", "SelectOptions"),
    Row("SELECT_V2", 2, r"B([fbusilB])\1>\1", "SelectV2Options"),
    Row("SHAPE", 1, f"[{_ANY}]>[il]", "ShapeOptions"),
    Row("SIGN", 2, _unary("fdi"), "SignOptions"),
    Row("SIN", 2, _unary("f")),
    Row("SLICE", 8, rf"([{_MOVED}])([il])\2>\1", "SliceOptions", rules=(q.same,)),
    Row("SOFTMAX", 4, "f>f|u>u|b>b|b>s|s>s", "SoftmaxOptions", True,
        (q.present, q.softmax_scale, _RESULT_256)),
    Row("SPACE_TO_BATCH_ND", 4, r"([fbusil])ii>\1", "SpaceToBatchNDOptions", rules=(q.same,)),
    Row("SPACE_TO_DEPTH", 2, _unary("fbuil"), "SpaceToDepthOptions", True, (q.same,)),
    Row("SPLIT", 5, r"i([fbusi])>\1+", "SplitOptions", True, (q.same,)),
    Row("SPLIT_V", 3, r"([fbusil])[il]i>\1+", "SplitVOptions", rules=(q.same,)),
    Row("SQRT", 2, _unary("fbs"), rules=(q.scaled,)),
    Row("SQUARE", 1, _unary("f"), "SquareOptions"),
    Row("SQUARED_DIFFERENCE", 2, _binary("fbsi"), "SquaredDifferenceOptions",
        rules=(q.scaled, q.squares_fit)),
    Row("SQUEEZE", 2, _unary(_MOVED), "SqueezeOptions", rules=(q.same,)),
    Row("STRIDED_SLICE", 8, rf"([{_MOVED}])iii>\1", "StridedSliceOptions", True, (q.same,)),
    Row("SUB", 5, _binary("fbusil"), "SubOptions", True, (q.scaled, q.sum_fits)),
    Row("SUM", 2, _REDUCE, "ReducerOptions", rules=(q.scaled, r.total)),
    Row("SVDF", 4, "f[fbu]f[f-]f>f|bbs[i-]s>b|bbb[i-]b>b", "SVDFOptions", True, (q.scaled,)),
    Row("TANH", 3, _unary("fbus"), rules=(q.scaled, _RESULT_128)),
    Row("TILE", 3, _INDEX, "TileOptions", rules=(q.same,)),
    Row("TOPK_V2", 3, r"([fbusil])i>\1i", "TopKV2Options"),
    Row("TRANSPOSE", 9, rf"([{_MOVED}])i>\1", "TransposeOptions", rules=(q.same,)),
    Row("TRANSPOSE_CONV", 5, "ifff?>f|ibbi?>b|ibs[il]?>s|iuui?>u", "TransposeConvOptions", True,
        (q.scaled, q.transposed_fits), ((1, 0), (3, 0))),
    Row("UNIDIRECTIONAL_SEQUENCE_LSTM", 4, r"([fbs])[fbsil-]{19,23}>\1",
        "UnidirectionalSequenceLSTMOptions", True),
    Row("UNPACK", 6, r"([fbusilB])>\1+", "UnpackOptions", True, (q.same,)),
    Row("ZEROS_LIKE", 1, _unary("fil"), "ZerosLikeOptions"),
)  # fmt: skip
TABLE: Mapping[str, Row] = {row.name: row for row in ROWS}
