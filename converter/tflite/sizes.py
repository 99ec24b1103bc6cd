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

from converter.tflite.flatbuffer.unpack import TableView
from converter.tflite.model import TfliteError

MAX_FILE_BYTES = 1 << 29  # several times the flash of any board
MAX_TENSOR_BYTES = 1 << 30  # TFLM and the kernels compute sizes in int
_SHARING = 16  # times the file's size
_FREE_BYTES = 1 << 16
_TABLE_BYTES = 64  # of the object that each table becomes, at least

# Vectors of each table with the bytes of an element, and its strings.
_TENSOR = ((("shape", 4), ("shapeSignature", 4)), ("name",))
_QUANTIZATION = ((("min", 4), ("max", 4), ("scale", 4), ("zeroPoint", 8)), ())
_OPERATOR = (
    (("inputs", 4), ("outputs", 4), ("intermediates", 4), ("customOptions", 1)),
    (),
)
_GRAPH = ((("inputs", 4), ("outputs", 4)), ("name",))
_SIGNATURE = ((("inputs", 8), ("outputs", 8)), ("signatureKey",))


def check_tensor_bytes(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raises TfliteError for a tensor that no runtime could hold; multiplies without overflow."""
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_TENSOR_BYTES:
        raise TfliteError(
            f"tensor {name!r}: got {size} bytes for shape {list(shape)}, expected at most "
            f"{MAX_TENSOR_BYTES}"
        )


def _bytes_of(table: TableView, fields: tuple[Sequence[tuple[str, int]], Sequence[str]]) -> int:
    vectors, strings = fields
    counted = sum(table.length(name) * size for name, size in vectors)
    return _TABLE_BYTES + counted + sum(map(table.length, strings))


def _graph_sizes(graph: TableView) -> Iterator[int]:
    yield _bytes_of(graph, _GRAPH)
    for tensor in graph.children("tensors"):
        yield _bytes_of(tensor, _TENSOR)
        for quantization in tensor.children("quantization"):
            yield _bytes_of(quantization, _QUANTIZATION)
    for operator in graph.children("operators"):
        yield _bytes_of(operator, _OPERATOR)


def _sizes(model: TableView) -> Iterator[int]:
    yield model.length("description")
    for buffer in model.children("buffers"):
        yield _bytes_of(buffer, ((("data", 1),), ()))
    for code in model.children("operatorCodes"):
        yield _bytes_of(code, ((), ("customCode",)))
    for entry in model.children("metadata"):
        yield _bytes_of(entry, ((), ("name",)))
    for signature in model.children("signatureDefs"):
        yield _bytes_of(signature, _SIGNATURE)
        for side in ("inputs", "outputs"):
            for tensor in signature.children(side):
                yield _bytes_of(tensor, ((), ("name",)))
    for graph in model.children("subgraphs"):
        yield from _graph_sizes(graph)


def check_sizes(content: bytes) -> None:
    """Raises TfliteError for a file whose tables say more than the file can hold.

    Args:
      content: of a file that `verifier.verify` accepts.
    """
    limit = _FREE_BYTES + _SHARING * len(content)
    total = 0
    for size in _sizes(TableView.root(content)):
        total += size
        if total > limit:
            raise TfliteError(
                f"got tables of over {limit} bytes in a file of {len(content)}: it is damaged, or "
                "made to exhaust memory"
            )
