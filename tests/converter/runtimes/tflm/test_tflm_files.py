# SPDX-License-Identifier: Apache-2.0
"""Files that would crash TFLM, which follows their offsets unchecked, are refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from converter.runtimes.tflm import op_models
from converter.runtimes.tflm.errors import TflmModelError
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.tflite import TfliteError, parse, serialize
from tests.converter.tflite.flatbuffer_files import pack, unpack


def _two_ops() -> bytes:
    spec = op_models.Activation((1, 4, 8))
    ops = [op_models.CustomOp("Any", b"12345", bytes(range(n)), spec) for n in (7, 33)]
    return op_models.chain_model(spec, ops, offsets={0: 0, 1: 64})


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x20\0\0\0TFL3", b"no model at all, just text"])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(TflmModelError, match="model:"):
        TflmInterpreter(data)


def test_truncated_files_are_refused() -> None:
    data = _two_ops()
    for length in range(8, len(data) - 64, 29):
        with pytest.raises(TflmModelError, match="model: "):
            TflmInterpreter(data[:length])


def _ints(values: list[int]) -> np.ndarray:
    return np.array(values, np.int32)


def _tensor(model: Any) -> Any:
    return model.subgraphs[0].tensors[1]


def _set(target: Callable[[Any], Any], **values: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in values.items():
            setattr(target(model), name, value)

    return change


def _graph(model: Any) -> Any:
    return model.subgraphs[0]


def _op(model: Any) -> Any:
    return model.subgraphs[0].operators[1]


def _plan(*words: int) -> Callable[[Any], None]:
    data = np.array(words, np.int32).view(np.uint8)
    return _set(lambda m: m.buffers[m.metadata[0].buffer], data=data)


_DAMAGE: dict[str, tuple[Callable[[Any], None], str]] = {
    "version": (_set(lambda m: m, version=2), "got schema version 2, expected 3"),
    "no_subgraph": (_set(lambda m: m, subgraphs=[]), "got 0 subgraphs"),
    "buffer_index": (_set(_tensor, buffer=99), "got buffer 99"),
    "dynamic_shape": (_set(_tensor, shape=_ints([-1, 4])), "dynamic shape"),
    "huge_shape": (
        _set(_tensor, shape=_ints([1 << 30, 1 << 30])),
        "expected at most 1073741824",
    ),
    "type": (_set(_tensor, type=5), "got type STRING"),
    "short_constant": (_set(_tensor, buffer=1), "got 7 bytes of data, expected 32"),
    "external_data": (_set(lambda m: m.buffers[0], offset=8, size=1 << 20), "outside the flatbuff"),
    "graph_output": (_set(_graph, outputs=_ints([77])), "got tensor 77"),
    "graph_input": (_set(_graph, inputs=_ints([-1])), "got tensor -1"),
    "op_code": (_set(_op, opcodeIndex=9), "got operator code 9"),
    "op_input": (_set(_op, inputs=_ints([0, 50])), "got tensor 50"),
    "op_output": (_set(_op, outputs=_ints([-1])), "got tensor -1"),
    "op_no_output": (_set(_op, outputs=None), "output tensor 2 .* nothing writes"),
    "plan_short": (_plan(1, 1, 5, 0), "for each of 5"),
    "plan_count": (_plan(1, 1, 4, 0, 64, -1, -1, -1), "for each of 5"),
    "plan_negative": (_plan(1, 1, 5, 0, -4096, 0, -1, -1), "got offset -4096"),
    "plan_unaligned": (_plan(1, 1, 5, 0, 6, 0, -1, -1), "got offset 6"),
}


@pytest.mark.parametrize("name", _DAMAGE)
def test_damage_is_named(name: str) -> None:
    change, message = _DAMAGE[name]
    model = unpack(_two_ops())
    change(model)
    with pytest.raises(TflmModelError, match=message):
        TflmInterpreter(pack(model))


def test_flipped_bytes_never_get_past_the_check_as_another_error() -> None:
    data = _two_ops()
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(400):
        bad = bytearray(data)
        for position in rng.integers(8, len(data), 3):
            bad[position] ^= int(rng.integers(1, 256))
        try:
            serialize(parse(bytes(bad)))
        except TfliteError:
            refused += 1
    assert refused > 100
