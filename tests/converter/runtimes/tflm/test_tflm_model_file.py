# SPDX-License-Identifier: Apache-2.0
"""Files that would crash TFLM are refused with a reason; weights end up aligned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from converter.runtimes.tflm import model_file, op_models
from converter.runtimes.tflm.errors import TflmModelError
from converter.runtimes.tflm.interpreter import TflmInterpreter


def _two_ops() -> bytes:
    spec = op_models.TensorSpec((1, 4, 8))
    ops = [op_models.CustomOp("Any", b"12345", bytes(range(n)), spec) for n in (7, 33)]
    return op_models.chain_model(spec, ops, offsets={0: 0, 1: 64})


def test_packing_keeps_the_model_and_aligns_it() -> None:
    data = _two_ops()
    model = model_file.load_model(data)
    model_file.check_model(model)
    again = model_file.pack_model(model)
    assert again == data
    assert model_file.misaligned_buffers(again) == []
    held = [bytes(b.data) for b in model.buffers if b.data is not None]
    assert held[:2] == [bytes(range(7)), bytes(range(33))]


def test_misaligned_buffers_are_found() -> None:
    data = _two_ops()
    position = data.index(bytes(range(33)))
    shifted = data[:8] + b"\0" * 0 + data[8:]
    assert position % 16 == 0
    assert model_file.misaligned_buffers(shifted, 1 << 20) != []


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x20\0\0\0TFL3", b"no model at all, just text"])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(TflmModelError, match="model:"):
        TflmInterpreter(data)


def test_truncated_files_are_refused() -> None:
    data = _two_ops()
    for length in range(8, len(data) - 64, 29):
        with pytest.raises(TflmModelError):
            model_file.check_model(model_file.load_model(data[:length]))


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


def _words(*values: int) -> np.ndarray:
    return np.array(values, np.int32).view(np.uint8)


_DAMAGE: dict[str, tuple[Callable[[Any], None], str]] = {
    "version": (_set(lambda m: m, version=2), "got schema version 2, expected 3"),
    "no_subgraph": (_set(lambda m: m, subgraphs=[]), "no subgraphs"),
    "buffer_index": (_set(_tensor, buffer=99), "got buffer 99"),
    "dynamic_shape": (_set(_tensor, shape=np.array([-1, 4])), "static shape"),
    "huge_shape": (_set(_tensor, shape=np.array([1 << 30, 1 << 30])), "expected <="),
    "type": (_set(_tensor, type=5), "no type 5"),
    "short_constant": (_set(_tensor, buffer=1), "got 7 bytes of data, expected 32"),
    "external_data": (_set(lambda m: m.buffers[0], offset=8, size=8), "outside the flatbuffer"),
    "graph_output": (_set(_graph, outputs=np.array([77])), "got tensor 77"),
    "graph_input": (_set(_graph, inputs=np.array([-1])), "got tensor -1"),
    "op_code": (_set(_op, opcodeIndex=9), "got operator code 9"),
    "op_input": (_set(_op, inputs=np.array([0, 50])), "got tensor 50"),
    "op_output": (_set(_op, outputs=np.array([-1])), "got tensor -1"),
    "op_no_input": (_set(_op, inputs=None), "no inputs or outputs"),
    "plan_short": (_set(lambda m: m.buffers[-1], data=_words(1, 1, 5, 0)), "for each of 5"),
    "plan_negative": (
        _set(lambda m: m.buffers[-1], data=_words(1, 1, 5, 0, -4096, 0, -1, -1)),
        "got offset -4096",
    ),
    "plan_unaligned": (
        _set(lambda m: m.buffers[-1], data=_words(1, 1, 5, 0, 6, 0, -1, -1)),
        "got offset 6",
    ),
}


@pytest.mark.parametrize("name", _DAMAGE)
def test_damage_is_named(name: str) -> None:
    change, message = _DAMAGE[name]
    model = model_file.load_model(_two_ops())
    model_file.check_model(model)
    change(model)
    with pytest.raises(TflmModelError, match=message):
        model_file.check_model(model)


def test_flipped_bytes_never_get_past_the_check_as_another_error() -> None:
    data = _two_ops()
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(400):
        bad = bytearray(data)
        for position in rng.integers(8, len(data), 3):
            bad[position] ^= int(rng.integers(1, 256))
        try:
            model = model_file.load_model(bytes(bad))
            model_file.check_model(model)
            model_file.pack_model(model)
        except TflmModelError:
            refused += 1
    assert refused > 100
