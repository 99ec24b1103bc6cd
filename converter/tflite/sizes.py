# SPDX-License-Identifier: Apache-2.0
"""Bounds what a `.tflite` unpacks to, before anything is unpacked.

Tables of a flatbuffer may point to the same bytes any number of times, so that a small file can
unpack to any size. Real files share little (names, empty vectors).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from converter.tflite.model import TfliteError
from converter.tflite.schema import schema

MAX_FILE_BYTES = 1 << 29  # several times the flash of any board
MAX_TENSOR_BYTES = 1 << 30  # TFLM and the kernels compute sizes in int
_SHARING = 16  # times the file's size
_FREE_BYTES = 1 << 16
_TABLE_BYTES = 64  # of the object that each table becomes, at least

# Vectors of each table with the bytes of an element, and its strings.
_TENSOR = ((("Shape", 4), ("ShapeSignature", 4)), ("Name",))
_QUANTIZATION = ((("Min", 4), ("Max", 4), ("Scale", 4), ("ZeroPoint", 8)), ())
_OPERATOR = (
    (("Inputs", 4), ("Outputs", 4), ("Intermediates", 4), ("CustomOptions", 1)),
    (),
)
_GRAPH = ((("Inputs", 4), ("Outputs", 4)), ("Name",))
_SIGNATURE = ((("Inputs", 8), ("Outputs", 8)), ("SignatureKey",))


def check_tensor_bytes(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raises TfliteError for a tensor that no runtime could hold; multiplies without overflow."""
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_TENSOR_BYTES:
        raise TfliteError(
            f"tensor {name!r}: got {size} bytes for shape {list(shape)}, expected at most "
            f"{MAX_TENSOR_BYTES}"
        )


def _bytes_of(table: Any, fields: tuple[Sequence[tuple[str, int]], Sequence[str]]) -> int:
    vectors, strings = fields
    counted = sum(int(getattr(table, f"{name}Length")()) * size for name, size in vectors)
    return _TABLE_BYTES + counted + sum(len(getattr(table, name)() or b"") for name in strings)


def _graph_sizes(graph: Any) -> Iterator[int]:
    yield _bytes_of(graph, _GRAPH)
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        yield _bytes_of(tensor, _TENSOR)
        if (quantization := tensor.Quantization()) is not None:
            yield _bytes_of(quantization, _QUANTIZATION)
    for i in range(graph.OperatorsLength()):
        yield _bytes_of(graph.Operators(i), _OPERATOR)


def _sizes(model: Any) -> Iterator[int]:
    yield len(model.Description() or b"")
    for i in range(model.BuffersLength()):
        yield _bytes_of(model.Buffers(i), ((("Data", 1),), ()))
    for i in range(model.OperatorCodesLength()):
        yield _bytes_of(model.OperatorCodes(i), ((), ("CustomCode",)))
    for i in range(model.MetadataLength()):
        yield _bytes_of(model.Metadata(i), ((), ("Name",)))
    for i in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(i)
        yield _bytes_of(signature, _SIGNATURE)
        for j in range(signature.InputsLength()):
            yield _bytes_of(signature.Inputs(j), ((), ("Name",)))
        for j in range(signature.OutputsLength()):
            yield _bytes_of(signature.Outputs(j), ((), ("Name",)))
    for i in range(model.SubgraphsLength()):
        yield from _graph_sizes(model.Subgraphs(i))


def check_sizes(content: bytes) -> None:
    """Raises TfliteError for a file whose tables say more than the file can hold.

    Args:
      content: of the file. What is no flatbuffer raises what the generated classes raise.
    """
    limit = _FREE_BYTES + _SHARING * len(content)
    total = 0
    for size in _sizes(schema.Model.GetRootAs(content, 0)):
        total += size
        if total > limit:
            raise TfliteError(
                f"got tables of over {limit} bytes in a file of {len(content)}: it is damaged, or "
                "made to exhaust memory"
            )
