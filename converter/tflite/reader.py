# SPDX-License-Identifier: Apache-2.0
"""Reads `.tflite` bytes into a `Model`, refusing what the fuser and TFLM cannot run.

Weights may lie inside the flatbuffer or after it (`Buffer.offset` and `size`, as
ai-edge-quantizer writes large ones; TFLM would take those for activations).
"""

from __future__ import annotations

import dataclasses
import os
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.tflite import int4
from converter.tflite.associated import associated_files
from converter.tflite.bias_scales import with_bias_scales
from converter.tflite.byte_inputs import with_byte_scales
from converter.tflite.dead_ends import with_living_ends
from converter.tflite.diagonal_filters import with_filters_stored
from converter.tflite.flatbuffer.unpack import unpack
from converter.tflite.graph_checks import check_edges, check_order, quantization_of
from converter.tflite.model import (
    METADATA_NAME,
    Graph,
    Metadata,
    Model,
    Operator,
    Signature,
    Tensor,
    TfliteError,
)
from converter.tflite.narrow_sums import with_narrow_stand_ins
from converter.tflite.operators import check_forms, check_shapes
from converter.tflite.schema import (
    DTYPES,
    FILE_IDENTIFIER,
    INT4,
    OPCODE_NAMES,
    SCHEMA_VERSION,
    TYPE_NAMES,
)
from converter.tflite.signatures import check_no_calls, chosen_subgraph, text
from converter.tflite.sizes import MAX_FILE_BYTES, check_sizes, check_tensor_bytes
from converter.tflite.static_shapes import STATIC_HINT, resolved
from converter.tflite.verifier import verify
from converter.tflite.zero_differences import with_stand_ins, with_zeros_stored
from tflm_vit.files import read_bytes

# First bytes of what people give instead, and what to do.
_QUANTIZED_FIRST = "; a Keras model goes through python -m converter.quantize --network=FILE first"
_OTHER_FILES = (
    (b"PK\x03\x04", _QUANTIZED_FIRST),
    (b"\x89HDF\r\n", _QUANTIZED_FIRST),
    (b"version https://git-lfs", "; this is Git LFS's pointer to the file: git lfs pull"),
)
# What unpacking raises on bytes that are no valid flatbuffer.
_PARSE_ERRORS = (
    struct.error,
    IndexError,
    KeyError,
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
    MemoryError,
    RecursionError,
)


# Fields with which a tensor's or an operator's bytes are elsewhere, or of another form.
_NOT_READ = {
    "sparsity": "got sparse data, expected dense",
    "externalBuffer": "got data in another file, expected them in this one",
    "largeCustomOptionsOffset": "got options behind the flatbuffer, expected them in it",
}


def read_model(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a `.tflite`, for `parse`.

    Raises:
      OSError: with the name of the file; it cannot be read, or is a folder, a pipe, a device.
      FileError: it has more than `sizes.MAX_FILE_BYTES`.
    """
    return read_bytes(path, MAX_FILE_BYTES)


def load(path: str) -> Model:
    """Reads a file; see `parse`. A missing or unreadable file is named in the TfliteError."""
    try:
        content = read_model(path)
    except OSError as error:
        raise TfliteError(f"{path}: cannot read: {error.strerror}") from error
    try:
        return parse(content)
    except TfliteError as error:
        raise TfliteError(f"{path}: {error}") from error


def parse(content: bytes, signature: str | None = None) -> Model:
    """Parses a model with static shapes, or with an open batch of 1.

    Args:
      content: of the file.
      signature: which of several inference functions; None where the file has one.

    Raises:
      TfliteError: not a TFLite file, truncated, inconsistent, several subgraphs and no signature
        chosen, other dynamic shapes, a tensor over `sizes.MAX_TENSOR_BYTES`, an unsupported element
        type, or an operator that LiteRT refuses or TFLM aborts on (`converter.tflite.operators`).
    """
    if len(content) < 8:
        raise TfliteError(f"got {len(content)} bytes, expected a .tflite file")
    if content[4:8] != FILE_IDENTIFIER:
        kind = next((kind for magic, kind in _OTHER_FILES if content.startswith(magic)), "")
        raise TfliteError(
            f"got file identifier {content[4:8]!r}, expected {FILE_IDENTIFIER!r}: not a .tflite "
            f"file, or one written without its identifier{kind}"
        )
    try:
        verify(content)
        check_sizes(content)
        return _Reader(unpack(content), content, signature).model()
    except TfliteError:
        raise
    except _PARSE_ERRORS as error:  # FlatbufferError, or what is left to unpacking
        raise TfliteError(
            f"got {len(content)} bytes that are no complete flatbuffer ({error}): the file is "
            "truncated or damaged; make it again"
        ) from error


_QUANTIZE = "quantize to plain int8"
_REMEDIES = {
    "RESOURCE": "the weights are variables in it: convert with from_keras_model or from_saved_model"
}


def _ints(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(int(v) for v in values)


def _with_empty_constants(tensors: tuple[Tensor, ...], written: set[int]) -> tuple[Tensor, ...]:
    """A constant without elements has no bytes, which elsewhere marks what a run computes.

    The shape of a scalar is one; the converter broadcasts against it.
    """
    return tuple(
        dataclasses.replace(t, data=np.empty(t.shape, t.dtype))
        if t.size == 0 and i not in written and not (t.is_constant or t.is_variable)
        else t
        for i, t in enumerate(tensors)
    )


class _Reader:
    """Converts the object tree of one file."""

    def __init__(self, raw: Any, content: bytes, signature: str | None) -> None:
        self._raw = raw
        self._signature = signature
        self._content = content
        self._int4: set[int] = set()  # tensors of int4, which are read as int8
        self._data: dict[
            int, bytes
        ] = {}  # of buffers that were read; several tensors may share one

    def model(self) -> Model:
        raw = self._raw
        if raw.version != SCHEMA_VERSION:
            raise TfliteError(f"got schema version {raw.version}, expected {SCHEMA_VERSION}")
        chosen = chosen_subgraph(raw, self._signature)
        graph = self._graph(raw.subgraphs[chosen])
        metadata = tuple(
            Metadata(text(m.name), bytes(self._buffer(m.buffer, text(m.name))))
            for m in raw.metadata or ()
        )
        described = any(m.name == METADATA_NAME for m in metadata)
        return Model(
            graph,
            text(raw.description),
            metadata,
            self._signatures(graph, chosen),
            associated_files(self._content) if described else (),
        )

    def _signatures(self, graph: Graph, chosen: int) -> tuple[Signature, ...]:
        def pairs(entries: Any) -> tuple[tuple[str, int], ...]:
            result = tuple((text(e.name), int(e.tensorIndex)) for e in entries or ())
            _check_indices([i for _, i in result], len(graph.tensors), "signature", optional=False)
            return result

        return tuple(
            Signature(text(s.signatureKey), pairs(s.inputs), pairs(s.outputs))
            for s in self._raw.signatureDefs or ()
            if s.subgraphIndex == chosen
        )

    def _graph(self, raw: Any) -> Graph:
        tensors = tuple(self._tensor(i, t) for i, t in enumerate(raw.tensors or ()))
        operators = tuple(
            self._operator(i, o, len(tensors)) for i, o in enumerate(raw.operators or ())
        )
        check_no_calls(operators)
        int4.check(operators, tensors, self._int4)
        inputs, outputs = _ints(raw.inputs), _ints(raw.outputs)
        tensors = _with_empty_constants(
            tensors, {*inputs, *(o for op in operators for o in op.outputs)}
        )
        _check_indices(inputs + outputs, len(tensors), "graph inputs and outputs", optional=False)
        if not operators or not outputs:
            raise TfliteError("got a graph without operators or outputs, expected a network")
        check_edges(tensors, inputs, outputs)
        check_order(tensors, operators, inputs, outputs)
        graph = Graph(tensors, operators, inputs, outputs, text(raw.name) or "main")
        graph = with_living_ends(with_filters_stored(graph))
        check_forms(with_narrow_stand_ins(with_stand_ins(graph)))
        signatures = [_ints(t.shapeSignature) for t in raw.tensors]
        if any(n < 0 for signature in signatures for n in signature):
            graph = resolved(graph, signatures)
            for t in graph.tensors:
                check_tensor_bytes(t.name, t.shape, t.dtype)
        check_shapes(graph)
        return with_bias_scales(with_byte_scales(with_zeros_stored(graph)))

    def _tensor(self, index: int, raw: Any) -> Tensor:
        name = text(raw.name) or f"tensor{index}"
        is_int4 = raw.type == INT4
        if raw.type not in DTYPES and not is_int4:
            kind = TYPE_NAMES.get(raw.type, raw.type)
            raise TfliteError(
                f"tensor {index} {name!r}: got type {kind}, expected int8 with float32, int16, "
                f"int32, int64, uint8 or bool beside it; {_REMEDIES.get(kind, _QUANTIZE)}"
            )
        shape = _ints(raw.shape)
        if any(n < 0 for n in shape):
            raise TfliteError(
                f"tensor {index} {name!r}: got dynamic shape {list(shape)}; {STATIC_HINT}"
            )
        _check_read(raw, f"tensor {index} {name!r}")
        dtype = np.dtype(np.int8) if is_int4 else DTYPES[raw.type]
        check_tensor_bytes(name, shape, dtype)
        if is_int4:
            self._int4.add(index)
            data: NDArray[Any] | None = int4.numbers(self._buffer(raw.buffer, name), name, shape)
        else:
            data = self._constant(raw.buffer, name, shape, dtype)
        if raw.isVariable and self._raw.buffers[raw.buffer].data is not None:
            raise TfliteError(f"tensor {index} {name!r}: got a variable with data, expected none")
        quantization = quantization_of(raw.quantization, name, shape, dtype)
        return Tensor(name, shape, dtype, quantization, data, bool(raw.isVariable))

    def _constant(
        self, buffer: int, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> NDArray[Any] | None:
        data = self._buffer(buffer, name)
        if len(data) == 0:
            return None
        expected = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if len(data) != expected:
            raise TfliteError(
                f"tensor {name!r}: got {len(data)} bytes of data, expected {expected} for shape "
                f"{list(shape)} of {dtype}"
            )
        array = np.frombuffer(data, dtype).reshape(shape)
        array.flags.writeable = False
        return array

    def _buffer(self, index: int, owner: str) -> bytes:
        buffers = self._raw.buffers or []
        if not 0 <= index < len(buffers):
            raise TfliteError(f"{owner!r}: got buffer {index}, expected 0..{len(buffers) - 1}")
        if index not in self._data:
            self._data[index] = self._read(buffers[index], owner)
        return self._data[index]

    def _read(self, raw: Any, owner: str) -> bytes:
        if raw.data is not None and len(raw.data):
            return np.asarray(raw.data, np.uint8).tobytes()
        # Offsets 0 and 1 mean "inline or empty" (schema.fbs, Buffer).
        if raw.offset > 1 and raw.size > 0:
            end = raw.offset + raw.size
            if end > len(self._content):
                raise TfliteError(
                    f"{owner!r}: got data at bytes {raw.offset}..{end} outside the flatbuffer, but "
                    f"the file has {len(self._content)} bytes: it is truncated"
                )
            return self._content[raw.offset : end]
        return b""

    def _operator(self, index: int, raw: Any, tensor_count: int) -> Operator:
        codes = self._raw.operatorCodes or []
        if not 0 <= raw.opcodeIndex < len(codes):
            raise TfliteError(
                f"operator {index}: got operator code {raw.opcodeIndex}, expected "
                f"0..{len(codes) - 1}"
            )
        code = codes[raw.opcodeIndex]
        value = max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
        if value not in OPCODE_NAMES:
            raise TfliteError(
                f"operator {index}: got unknown builtin code {value}; update tflm-vit"
            )
        inputs, outputs = _ints(raw.inputs), _ints(raw.outputs)
        where = f"operator {index} ({OPCODE_NAMES[value]})"
        _check_indices(inputs, tensor_count, where, optional=True)
        _check_indices(outputs, tensor_count, where, optional=False)
        intermediates = _ints(raw.intermediates)
        _check_indices(intermediates, tensor_count, where, optional=False)
        _check_read(raw, where)
        custom = raw.customOptions
        return Operator(
            opcode=OPCODE_NAMES[value],
            custom_code=text(code.customCode),
            version=int(code.version),
            inputs=inputs,
            outputs=outputs,
            options=raw.builtinOptions,
            options_type=int(raw.builtinOptionsType),
            options2=raw.builtinOptions2,
            options2_type=int(raw.builtinOptions2Type),
            custom_options=b"" if custom is None else np.asarray(custom, np.uint8).tobytes(),
            intermediates=intermediates,
        )


def _check_read(raw: Any, where: str) -> None:
    for field, reason in _NOT_READ.items():
        if getattr(raw, field, None):
            raise TfliteError(f"{where}: {reason}")


def _check_indices(indices: Any, count: int, where: str, optional: bool) -> None:
    low = -1 if optional else 0
    for index in indices:
        if not low <= index < count:
            raise TfliteError(f"{where}: got tensor {index}, expected {low}..{count - 1}")
