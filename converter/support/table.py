# SPDX-License-Identifier: Apache-2.0
"""Which builtin operator which runtime has: type, rank, version. The one table.

`converter.support.verdict` decides by it what runs a file, `firmware.tflm` registers operators by
it, docs/supported_operators.md is generated from it.

The compiled runtime's operators are those that `converter.builtins` reads. Those of the pinned
TensorFlow Lite Micro wheel were asked of the wheel itself; a test asks again. GELU is added to it
by `converter.runtimes.tflm.plain_gelu`.
"""

from __future__ import annotations

import dataclasses

from converter.builtins import SUPPORTED

ANY = ()


@dataclasses.dataclass(frozen=True)
class Form:
    """The forms of an operator that a runtime has.

    Attributes:
      types: of its first activation; `ANY` where the runtime itself decides.
      rank: dimensions that its tensors may have, 0 for any number.
      version: greatest operator version, 0 for any (TFLM and the compiled runtime go by the
        operands, not by the version).
      results: types of its results, where `types` does not say it.
    """

    types: tuple[str, ...] = ANY
    rank: int = 0
    version: int = 0
    results: tuple[str, ...] = ANY

    def __str__(self) -> str:
        parts = ["/".join(self.types)] if self.types else []
        parts += [f"{'/'.join(self.results)} results"] if self.results else []
        parts += [f"up to {self.rank}-D"] if self.rank else []
        parts += [f"version up to {self.version}"] if self.version else []
        return ", ".join(parts) or "yes"


@dataclasses.dataclass(frozen=True)
class Builtin:
    """One builtin operator.

    Attributes:
      name: as in the schema.
      compiled: the compiled runtime, which firmware and the emulator use.
      wheel: the TensorFlow Lite Micro wheel on this machine.
      method: how a device's TFLM resolver gets it, "" where the firmware has none.
    """

    name: str
    compiled: Form | None = None
    wheel: Form | None = None
    method: str = ""


_YES = Form()
# Forms of the compiled runtime where they are simple; the rest its readers decide, and say why not
# (converter.builtins.params_of, which the verdict asks as well).
_IMAGES = ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_BILINEAR")
_INT8 = (
    *("FULLY_CONNECTED", "SOFTMAX", "SQUARED_DIFFERENCE", "SUM", "REDUCE_MAX"),
    *("REDUCE_MIN", "RELU", "RELU6", "GELU", "LOGISTIC", "TANH", "RSQRT", "ABS", "EXP", "LOG"),
)
_NUMBERS = (
    *("MAXIMUM", "MINIMUM", "EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER"),
    "GREATER_EQUAL",
)
_EDGE = Form(("int8", "uint8", "int16", "float32"))
_COMPILED: dict[str, Form] = {
    **dict.fromkeys(_IMAGES, Form(("int8",), 4)),
    **dict.fromkeys(_INT8, Form(("int8",))),
    **dict.fromkeys(_NUMBERS, Form(("int8", "int32"))),
    **dict.fromkeys(("ADD", "SUB", "MUL"), Form(("int8", "int16", "int32"))),
    "MEAN": Form(("int8", "int16")),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE"), _EDGE),
    "BATCH_MATMUL": Form(("int8",), 5),
    "NEG": Form(("float32",)),
    "DIV": Form(("int8",)),
    "CAST": Form(("bool", "int8", "uint8", "int16", "int32")),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT"), Form(("bool",))),
    "SELECT": Form(("bool",)),
    "SELECT_V2": Form(("bool",)),
}
_INTEGERS = ("int8", "int16", "float32")
_COUNTED = ("int8", "int16", "int32", "float32")
_COMPARED = ("bool", "int8", "int32", "int64", "float32")
_COPIED = Form(results=("int8", "float32"))
# The wheel's limits that are not its kernels' own messages, or that it aborts on.
_WHEEL: dict[str, Form] = {
    **dict.fromkeys(("COS", "EXP", "LOG", "NEG", "SIN", "SQRT", "SQUARE"), Form(("float32",))),
    **dict.fromkeys(("FLOOR_DIV", "FLOOR_MOD"), Form(("float32",))),
    **dict.fromkeys(("ADD", "SUB", "MUL", "PAD", "SPLIT", "UNPACK"), Form(_COUNTED)),
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), Form((*_COUNTED, "int64"))),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL"), Form(_COMPARED)),
    **dict.fromkeys(("LESS", "LESS_EQUAL", "GREATER_EQUAL"), Form(_COMPARED[1:])),
    "GREATER": Form((*_COMPARED[1:], "int16")),
    **dict.fromkeys(("ABS", "EXPAND_DIMS", "RESIZE_NEAREST_NEIGHBOR"), Form(_INTEGERS)),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), Form(("int8", "float32"))),
    **dict.fromkeys(("GATHER", "GATHER_ND"), _COPIED),
    "CAST": Form(("bool", "int8", "int16", "int32", "float32")),
    "DIV": Form(("int8", "int32", "float32")),
    "FILL": Form(results=("int8", "int32", "float32")),
    "GELU": Form(("int8",)),
    **dict.fromkeys(("MEAN", "SUM"), Form(_INTEGERS)),
    **dict.fromkeys(("REDUCE_MAX", "REDUCE_MIN"), Form(("int8", "float32"))),
    "SELECT_V2": Form(results=_INTEGERS),
    "SLICE": Form((*_COUNTED, "bool"), rank=5),
    "STRIDED_SLICE": Form((*_COUNTED, "bool"), rank=4),
    "TRANSPOSE": Form(_INTEGERS, rank=5),
}
# Methods of MicroMutableOpResolver that the firmware calls.
_METHODS: dict[str, str] = {
    "ADD": "AddAdd",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "BATCH_MATMUL": "AddBatchMatMul",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "DEQUANTIZE": "AddDequantize",
    "FULLY_CONNECTED": "AddFullyConnected",
    "LOGISTIC": "AddLogistic",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MUL": "AddMul",
    "PAD": "AddPad",
    "QUANTIZE": "AddQuantize",
    "RESHAPE": "AddReshape",
    "RSQRT": "AddRsqrt",
    "SLICE": "AddSlice",
    "SOFTMAX": "AddSoftmax",
    "SPLIT": "AddSplit",
    "SQUARED_DIFFERENCE": "AddSquaredDifference",
    "STRIDED_SLICE": "AddStridedSlice",
    "SUB": "AddSub",
    "SUM": "AddSum",
    "TRANSPOSE": "AddTranspose",
}
_WHEEL_NAMES = frozenset((
    "ABS", "ADD", "ADD_N", "ARG_MAX", "ARG_MIN", "ASSIGN_VARIABLE", "AVERAGE_POOL_2D",
    "BATCH_MATMUL", "BATCH_TO_SPACE_ND", "BROADCAST_ARGS", "BROADCAST_TO", "CALL_ONCE", "CAST",
    "CEIL", "CONCATENATION", "CONV_2D", "COS", "CUMSUM", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE",
    "DEQUANTIZE", "DIV", "DYNAMIC_UPDATE_SLICE", "ELU", "EMBEDDING_LOOKUP", "EQUAL", "EXP",
    "EXPAND_DIMS", "FILL", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "FULLY_CONNECTED", "GATHER",
    "GATHER_ND", "GELU", "GREATER", "GREATER_EQUAL", "HARD_SWISH", "IF", "L2_NORMALIZATION",
    "L2_POOL_2D", "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG", "LOGICAL_AND", "LOGICAL_NOT",
    "LOGICAL_OR", "LOGISTIC", "LOG_SOFTMAX", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM",
    "MIRROR_PAD", "MUL", "NEG", "NOT_EQUAL", "PACK", "PAD", "PADV2", "PRELU", "QUANTIZE",
    "READ_VARIABLE", "REDUCE_ALL", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RESHAPE",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "ROUND", "RSQRT", "SELECT_V2",
    "SHAPE", "SIN", "SLICE", "SOFTMAX", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT",
    "SPLIT_V", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM",
    "SVDF", "TANH", "TRANSPOSE", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNPACK",
    "VAR_HANDLE", "WHILE", "ZEROS_LIKE",
))  # fmt: skip


def _entry(name: str) -> Builtin:
    return Builtin(
        name,
        _COMPILED.get(name, _YES) if name in SUPPORTED else None,
        _WHEEL.get(name, _YES) if name in _WHEEL_NAMES else None,
        _METHODS.get(name, ""),
    )


BUILTINS = tuple(_entry(name) for name in sorted({*SUPPORTED, *_WHEEL_NAMES}))
TABLE: dict[str, Builtin] = {entry.name: entry for entry in BUILTINS}
