# SPDX-License-Identifier: Apache-2.0
"""Reading, checking and writing ``.tflite`` files for TFLM, which itself checks almost nothing.

TFLM follows the offsets of a flatbuffer and the indices in it unverified, so a damaged file makes
it crash. :func:`load_model` and :func:`check_model` refuse such a file with a reason;
:func:`pack_model` writes one that is well-formed by construction, with weights aligned.

Format: TensorFlow's ``tensorflow/compiler/mlir/lite/schema/schema.fbs``.
"""

from __future__ import annotations

import functools
import math
import struct
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from converter.runtimes.tflm import abi
from converter.runtimes.tflm.errors import TflmModelError

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
BUFFER_ALIGNMENT = 16  # bytes; TFLM's arena alignment, and more than any kernel's wide load needs
OFFLINE_PLAN = b"OfflineMemoryAllocation"
MAX_TENSOR_BYTES = 1 << 30  # TFLM computes sizes in int
_PLAN_HEADER_WORDS = 3  # version, subgraphs, entries

# Reading a damaged flatbuffer in Python ends in one of these.
_READ_ERRORS = (
    struct.error,
    IndexError,
    TypeError,
    ValueError,
    OverflowError,
    AttributeError,
    KeyError,
    MemoryError,
    RecursionError,
)

Model = Any  # schema ModelT; the generated module carries no types
Tensor = Any
SubGraph = Any


@functools.cache
def schema() -> Any:
    """The generated flatbuffer schema module that the pinned wheel ships.

    Raises:
      TflmAbiError: another wheel is installed; they move it about.
    """
    abi.check_wheel()
    from tflite_micro.tensorflow.lite.python import schema_py_generated

    return schema_py_generated


def _bytes_per_element() -> dict[int, float]:
    kind = schema().TensorType
    return {
        kind.FLOAT32: 4,
        kind.FLOAT16: 2,
        kind.INT32: 4,
        kind.UINT8: 1,
        kind.INT64: 8,
        kind.BOOL: 1,
        kind.INT16: 2,
        kind.INT8: 1,
        kind.UINT32: 4,
        kind.UINT16: 2,
        kind.UINT64: 8,
        kind.FLOAT64: 8,
        kind.INT4: 0.5,
    }


def load_model(data: bytes) -> Model:
    """Unpacks a ``.tflite``.

    Returns:
      The schema's ``ModelT``.

    Raises:
      TflmModelError: the bytes are not a readable TFLite flatbuffer.
    """
    if len(data) < 8 or data[4:8] != FILE_IDENTIFIER:
        raise TflmModelError(
            f"model: got {len(data)} bytes with file identifier {bytes(data[4:8])!r}, "
            f"expected a .tflite file ({FILE_IDENTIFIER!r})"
        )
    try:
        module = schema()
        return module.ModelT.InitFromObj(module.Model.GetRootAsModel(data, 0))
    except _READ_ERRORS as error:
        raise TflmModelError(
            f"model: damaged or truncated .tflite ({len(data)} bytes): "
            f"{type(error).__name__}: {error}"
        ) from error


def tensor_name(tensor: Tensor) -> str:
    """The tensor's name as text, for messages."""
    name = tensor.name
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name or "")


def tensor_bytes(tensor: Tensor) -> int:
    """Size of a tensor's data in bytes; raises TflmModelError for shapes and types TFLM lacks."""
    sizes = _bytes_per_element()
    if tensor.type not in sizes:
        raise TflmModelError(f"tensor '{tensor_name(tensor)}': TFLM has no type {tensor.type}")
    shape = [] if tensor.shape is None else [int(d) for d in tensor.shape]
    if any(d < 0 for d in shape):
        raise TflmModelError(
            f"tensor '{tensor_name(tensor)}': got shape {shape}, expected a static shape; "
            "convert the model with a fixed batch of 1"
        )
    size = math.ceil(math.prod(shape) * sizes[tensor.type])
    if size > MAX_TENSOR_BYTES:
        raise TflmModelError(
            f"tensor '{tensor_name(tensor)}': got {size} bytes, expected <= {MAX_TENSOR_BYTES}"
        )
    return size


def check_model(model: Model) -> None:
    """Checks everything in a model that TFLM would follow blindly.

    Raises:
      TflmModelError: names the first thing that is wrong.
    """
    if model.version != SCHEMA_VERSION:
        raise TflmModelError(
            f"model: got schema version {model.version}, expected {SCHEMA_VERSION}"
        )
    if not model.subgraphs or not model.buffers or model.operatorCodes is None:
        raise TflmModelError(
            "model: got no subgraphs, buffers or operator codes, expected all three"
        )
    for index, graph in enumerate(model.subgraphs):
        _check_subgraph(model, graph, f"subgraph {index}")
    for item in model.metadata or []:
        if not 0 <= item.buffer < len(model.buffers):
            raise TflmModelError(
                f"metadata: got buffer {item.buffer}, expected < {len(model.buffers)}"
            )
        if item.name in (OFFLINE_PLAN, OFFLINE_PLAN.decode()):
            _check_plan(model, model.buffers[item.buffer].data)


def _check_subgraph(model: Model, graph: SubGraph, where: str) -> None:
    if graph.tensors is None or graph.inputs is None or graph.outputs is None:
        raise TflmModelError(f"{where}: got no tensors, inputs or outputs, expected all three")
    for number, tensor in enumerate(graph.tensors):
        _check_tensor(model, tensor, f"{where} tensor {number} '{tensor_name(tensor)}'")
    count = len(graph.tensors)
    _check_indices(graph.inputs, 0, count, f"{where} inputs")
    _check_indices(graph.outputs, 0, count, f"{where} outputs")
    for number, op in enumerate(graph.operators or []):
        here = f"{where} operator {number}"
        if not 0 <= op.opcodeIndex < len(model.operatorCodes):
            raise TflmModelError(
                f"{here}: got operator code {op.opcodeIndex}, expected < {len(model.operatorCodes)}"
            )
        if op.inputs is None or op.outputs is None:
            raise TflmModelError(f"{here}: got no inputs or outputs, expected both")
        _check_indices(op.inputs, -1, count, f"{here} inputs")
        _check_indices(op.outputs, 0, count, f"{here} outputs")


def _check_indices(indices: Any, low: int, count: int, where: str) -> None:
    for index in indices:
        if not low <= index < count:
            raise TflmModelError(f"{where}: got tensor {index}, expected {low}..{count - 1}")


def _check_tensor(model: Model, tensor: Tensor, where: str) -> None:
    if not 0 <= tensor.buffer < len(model.buffers):
        raise TflmModelError(
            f"{where}: got buffer {tensor.buffer}, expected < {len(model.buffers)}"
        )
    needed = tensor_bytes(tensor)
    buffer = model.buffers[tensor.buffer]
    if getattr(buffer, "offset", 0) or getattr(buffer, "size", 0):
        raise TflmModelError(
            f"{where}: its data lies outside the flatbuffer (Buffer.offset), which TFLM ignores; "
            "fuse the model, or rewrite it with the weights inside"
        )
    held = 0 if buffer.data is None else len(buffer.data)
    if held and held < needed:
        raise TflmModelError(f"{where}: got {held} bytes of data, expected {needed}")


def _check_plan(model: Model, data: Any) -> None:
    """An OfflineMemoryAllocation entry is taken by TFLM as an offset into the arena, unchecked."""
    words = np.frombuffer(b"" if data is None else bytes(data), np.uint8)
    words = words[: len(words) // 4 * 4].view(np.int32)
    tensors = [t for graph in model.subgraphs for t in graph.tensors]
    if len(words) != _PLAN_HEADER_WORDS + len(tensors) or words[2] != len(tensors):
        raise TflmModelError(
            f"OfflineMemoryAllocation: got {len(words) - _PLAN_HEADER_WORDS} offsets, expected one "
            f"for each of {len(tensors)} tensors; plan the model again"
        )
    for tensor, offset in zip(tensors, words[_PLAN_HEADER_WORDS:], strict=True):
        usable = offset == -1 or (0 <= offset <= MAX_TENSOR_BYTES and offset % 4 == 0)
        if not usable and not _has_data(model, tensor):
            raise TflmModelError(
                f"OfflineMemoryAllocation: got offset {offset} for tensor '{tensor_name(tensor)}', "
                "expected -1 or a multiple of 4 bytes from the start of the arena"
            )


def activation_bytes(model: Model) -> int:
    """Bytes of all tensors that are not constants: an upper bound of TFLM's planned head."""
    total = 0
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if not _has_data(model, tensor):
                total += tensor_bytes(tensor) + BUFFER_ALIGNMENT
    return total


def _has_data(model: Model, tensor: Tensor) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


class _AlignedBytes:
    """Stands in for a schema BufferT or an operator's options in Pack, with its own alignment."""

    def __init__(self, data: bytes | NDArray[np.uint8]) -> None:
        self._data = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data

    def Pack(self, builder: flatbuffers.Builder) -> int:  # the schema's name
        module = schema()
        data = np.ascontiguousarray(self._data, np.uint8)
        builder.StartVector(1, len(data), BUFFER_ALIGNMENT)
        builder.head = builder.head - len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data.tobytes()
        vector = builder.EndVector()
        module.BufferStart(builder)
        module.BufferAddData(builder, vector)
        return int(module.BufferEnd(builder))


def pack_model(model: Model) -> bytes:
    """Writes a model with every buffer's data on a multiple of 16 bytes from the file's start.

    The model object is left as it was.
    """
    buffers = model.buffers
    total = sum(0 if b.data is None else len(b.data) for b in buffers)
    try:
        model.buffers = [
            b if b.data is None or len(b.data) == 0 else _AlignedBytes(_as_uint8(b.data))
            for b in buffers
        ]
        builder = flatbuffers.Builder(total + (1 << 16))
        builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    except _READ_ERRORS as error:
        raise TflmModelError(
            f"model: cannot be written: {type(error).__name__}: {error}"
        ) from error
    finally:
        model.buffers = buffers
    return bytes(builder.Output())


def _as_uint8(data: Any) -> NDArray[np.uint8]:
    if isinstance(data, (bytes, bytearray)):
        return np.frombuffer(bytes(data), np.uint8)
    return np.asarray(data, np.uint8)


def misaligned_buffers(data: bytes, alignment: int = BUFFER_ALIGNMENT) -> list[int]:
    """Indices of the buffers of a ``.tflite`` whose data is not on a multiple of ``alignment``.

    Bytes are counted from the file's start, which a loader places on a multiple of 16. Files from
    TensorFlow have weights on multiples of 4 only; :func:`pack_model` repairs that.
    """
    model = schema().Model.GetRootAsModel(data, 0)
    found = []
    for index in range(model.BuffersLength()):
        table = model.Buffers(index)._tab
        offset = table.Offset(4)  # field 0 of Buffer: data
        if offset and table.VectorLen(offset) and table.Vector(offset) % alignment:
            found.append(index)
    return found
