# SPDX-License-Identifier: Apache-2.0
"""The TFLite schema's enumerations as tables, from the classes that LiteRT ships."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated

schema = schema_py_generated

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
BUFFER_ALIGNMENT = 16  # bytes; TFLM's kernels read weights in place (schema: force_align 16)

OPCODE_NAMES: dict[int, str] = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)
}
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
TYPE_NAMES: dict[int, str] = {
    value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)
}
ACTIVATION_NAMES: dict[int, str] = {
    value: name
    for name, value in vars(schema.ActivationFunctionType).items()
    if isinstance(value, int)
}
