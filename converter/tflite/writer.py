# SPDX-License-Identifier: Apache-2.0
"""Writes a `Model` as `.tflite`: the same model gives the same bytes.

Every constant lies inside the flatbuffer at a multiple of 16 bytes; equal constants share one
buffer. The alignment is checked on the finished bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.tflite.associated import with_files
from converter.tflite.flatbuffer.pack import pack
from converter.tflite.flatbuffer.unpack import TableView
from converter.tflite.model import Model, Operator, Quantization, Tensor, TfliteError
from converter.tflite.schema import (
    BUFFER_ALIGNMENT,
    OPCODES,
    PLACEHOLDER_FOR_GREATER_OP_CODES,
    SCHEMA_VERSION,
    TENSOR_TYPES,
    schema,
)
from tflm_vit.files import write_atomic


class _Writer:
    """Builds the object tree of one file."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._buffers: list[Any] = [schema.BufferT()]  # buffer 0 is empty by convention
        self._buffer_of: dict[bytes, int] = {}
        self._codes: list[Any] = []
        self._code_of: dict[tuple[str, str, int], int] = {}

    def tree(self) -> Any:
        graph = self._model.graph
        sub = schema.SubGraphT()
        sub.name = graph.name
        sub.tensors = [self._tensor(t) for t in graph.tensors]
        sub.operators = [self._operator(o) for o in graph.operators]
        sub.inputs = np.array(graph.inputs, np.int32)
        sub.outputs = np.array(graph.outputs, np.int32)
        model = schema.ModelT()
        model.version = SCHEMA_VERSION
        model.description = self._model.description
        model.subgraphs = [sub]
        model.signatureDefs = [self._signature(s) for s in self._model.signatures]
        model.metadata = []
        for entry in self._model.metadata:
            metadata = schema.MetadataT()
            metadata.name = entry.name
            metadata.buffer = self._buffer(entry.data)
            model.metadata.append(metadata)
        model.operatorCodes = self._codes
        model.buffers = self._buffers
        return model

    def _buffer(self, data: bytes) -> int:
        if data not in self._buffer_of:
            buffer = schema.BufferT()
            buffer.data = data
            self._buffer_of[data] = len(self._buffers)
            self._buffers.append(buffer)
        return self._buffer_of[data]

    def _tensor(self, tensor: Tensor) -> Any:
        raw = schema.TensorT()
        raw.name = tensor.name
        raw.shape = np.array(tensor.shape, np.int32)
        raw.type = TENSOR_TYPES[tensor.dtype]
        raw.isVariable = tensor.is_variable
        raw.buffer = 0
        if tensor.data is not None and tensor.data.size:
            raw.buffer = self._buffer(np.ascontiguousarray(tensor.data).tobytes())
        if tensor.quantization is not None:
            raw.quantization = _quantization(tensor.quantization)
        return raw

    def _operator(self, op: Operator) -> Any:
        raw = schema.OperatorT()
        raw.opcodeIndex = self._code(op)
        raw.inputs = np.array(op.inputs, np.int32)
        raw.outputs = np.array(op.outputs, np.int32)
        raw.builtinOptions, raw.builtinOptionsType = op.options, op.options_type
        raw.builtinOptions2, raw.builtinOptions2Type = op.options2, op.options2_type
        if op.intermediates:
            raw.intermediates = np.array(op.intermediates, np.int32)
        if op.custom_options:
            raw.customOptions = np.frombuffer(op.custom_options, np.uint8)
        return raw

    def _code(self, op: Operator) -> int:
        key = (op.opcode, op.custom_code, op.version)
        if key not in self._code_of:
            code = schema.OperatorCodeT()
            code.builtinCode = OPCODES[op.opcode]
            code.deprecatedBuiltinCode = min(code.builtinCode, PLACEHOLDER_FOR_GREATER_OP_CODES)
            code.customCode = op.custom_code or None
            code.version = op.version
            self._code_of[key] = len(self._codes)
            self._codes.append(code)
        return self._code_of[key]

    @staticmethod
    def _signature(signature: Any) -> Any:
        raw = schema.SignatureDefT()
        raw.signatureKey = signature.key
        raw.subgraphIndex = 0
        raw.inputs, raw.outputs = [], []
        for pairs, entries in ((signature.inputs, raw.inputs), (signature.outputs, raw.outputs)):
            for name, index in pairs:
                entry = schema.TensorMapT()
                entry.name, entry.tensorIndex = name, index
                entries.append(entry)
        return raw


def _quantization(quantization: Quantization) -> Any:
    raw = schema.QuantizationParametersT()
    raw.scale = quantization.scale
    raw.zeroPoint = quantization.zero_point
    raw.quantizedDimension = quantization.axis
    return raw


def serialize(model: Model) -> bytes:
    """The model as `.tflite` bytes.

    Raises:
      TfliteError: a constant would not lie at a multiple of 16 bytes (a fault in this writer).
    """
    weights = sum(t.nbytes for t in model.graph.tensors if t.is_constant)
    content = pack(_Writer(model).tree(), weights + (1 << 16))
    misplaced = misaligned_buffers(content)
    if misplaced:
        raise TfliteError(f"got buffers {misplaced} off a multiple of {BUFFER_ALIGNMENT} bytes")
    return with_files(content, model.files)


def misaligned_buffers(content: bytes) -> list[int]:
    """Indices of the buffers whose data does not start at a multiple of 16 bytes of the file."""
    buffers = TableView.root(content).children("buffers")
    return [
        index
        for index, buffer in enumerate(buffers)
        if buffer.length("data") and buffer.start("data") % BUFFER_ALIGNMENT
    ]


def save(model: Model, path: str) -> None:
    """Writes the model to a file, atomically."""
    write_atomic(path, serialize(model))
