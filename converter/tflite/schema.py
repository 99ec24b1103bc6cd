# SPDX-License-Identifier: Apache-2.0
"""The TFLite schema's enumerations as tables."""

from __future__ import annotations

import numpy as np

from converter.tflite.flatbuffer.declared import enumerations
from converter.tflite.flatbuffer.objects import schema
from converter.tflite.flatbuffer.pack import BUFFER_ALIGNMENT, FILE_IDENTIFIER

SCHEMA_VERSION = 3


def _names(enumeration: str) -> dict[int, str]:
    return {value: name for name, value in enumerations()[enumeration].items()}


OPCODE_NAMES = _names("BuiltinOperator")
OPCODES: dict[str, int] = {name: value for value, name in OPCODE_NAMES.items()}
# Codes above this do not fit the schema's older 8-bit field, which then holds the placeholder.
PLACEHOLDER_FOR_GREATER_OP_CODES = 127

DTYPES: dict[int, np.dtype[np.generic]] = {
    schema.TensorType.FLOAT32: np.dtype(np.float32),
    schema.TensorType.FLOAT16: np.dtype(np.float16),
    schema.TensorType.FLOAT64: np.dtype(np.float64),
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.INT16: np.dtype(np.int16),
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.INT64: np.dtype(np.int64),
    schema.TensorType.UINT8: np.dtype(np.uint8),
    schema.TensorType.UINT16: np.dtype(np.uint16),
    schema.TensorType.UINT32: np.dtype(np.uint32),
    schema.TensorType.BOOL: np.dtype(np.bool_),
}
TENSOR_TYPES: dict[np.dtype[np.generic], int] = {dtype: code for code, dtype in DTYPES.items()}
TYPE_NAMES = _names("TensorType")
INT4 = schema.TensorType.INT4  # read as int8 (int4.py)
ACTIVATION_NAMES = _names("ActivationFunctionType")
OPTION_TYPES = _names("BuiltinOptions")

__all__ = [
    "ACTIVATION_NAMES",
    "BUFFER_ALIGNMENT",
    "DTYPES",
    "FILE_IDENTIFIER",
    "INT4",
    "OPCODES",
    "OPCODE_NAMES",
    "OPTION_TYPES",
    "PLACEHOLDER_FOR_GREATER_OP_CODES",
    "SCHEMA_VERSION",
    "TENSOR_TYPES",
    "TYPE_NAMES",
    "schema",
]
