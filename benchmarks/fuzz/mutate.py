# SPDX-License-Identifier: Apache-2.0
"""Changes one thing of a `.tflite` file's structure: a shape, a type, a scale, an operand ...

Works on the generated object tree, past our own writer, so that anything can be written.
"""

from __future__ import annotations

import functools
import pickle
import random
import struct
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from benchmarks.fuzz import mutate_bytes, mutate_file, mutate_own
from converter.tflite.schema import FILE_IDENTIFIER, OPCODE_NAMES, TYPE_NAMES

Rng = random.Random
_NUMBERS = (-(1 << 31), -129, -2, -1, 0, 1, 2, 3, 5, 127, 255, 300, 65536, (1 << 31) - 1)
_SCALES = (0.0, -1.0, 1e-45, 1e-30, 1e-6, 0.5, 2.0, 1e10, float("inf"), float("nan"))


def unpack(content: bytes) -> Any:
    """The file's object tree."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


@functools.lru_cache(maxsize=4096)
def _unpacked(content: bytes) -> tuple[bytes, bytes]:
    """The object tree as a pickle, which is loaded five times faster; and packed again."""
    tree = unpack(content)
    return pickle.dumps(tree), pack(tree)


def pack(tree: Any) -> bytes:
    """The bytes of an object tree."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _list(values: Any) -> list[Any]:
    return [] if values is None else list(values)


def _tensor(rng: Rng, tree: Any) -> Any:
    return rng.choice(tree.subgraphs[0].tensors)


def _operator(rng: Rng, tree: Any) -> Any:
    return rng.choice(tree.subgraphs[0].operators)


def _changed(rng: Rng, values: list[Any], new: Callable[[], Any]) -> list[Any]:
    """One element changed, dropped, doubled or added."""
    at = rng.randrange(len(values)) if values else 0
    action = rng.randrange(4) if values else 3
    if action == 0:
        values[at] = new()
    elif action == 1:
        del values[at]
    elif action == 2:
        values.insert(at, values[at])
    else:
        values.insert(at, new())
    return values


# ---- tensors -------------------------------------------------------------------------------------


def shape(rng: Rng, tree: Any) -> None:
    t = _tensor(rng, tree)
    t.shape = _changed(rng, _list(t.shape), lambda: rng.choice((*_NUMBERS, 4, 8, 16)))


def shape_order(rng: Rng, tree: Any) -> None:
    t = _tensor(rng, tree)
    t.shape = rng.sample(_list(t.shape), len(_list(t.shape)))


def tensor_type(rng: Rng, tree: Any) -> None:
    _tensor(rng, tree).type = rng.choice(list(TYPE_NAMES))


def buffer_index(rng: Rng, tree: Any) -> None:
    choices = [0, len(tree.buffers), *range(len(tree.buffers))]
    _tensor(rng, tree).buffer = rng.choice(choices)


def variable(rng: Rng, tree: Any) -> None:
    t = _tensor(rng, tree)
    t.isVariable = not t.isVariable


def _quantized(rng: Rng, tree: Any) -> Any:
    t = _tensor(rng, tree)
    if t.quantization is None:
        t.quantization = schema.QuantizationParametersT()
    return t.quantization


def scale(rng: Rng, tree: Any) -> None:
    q = _quantized(rng, tree)
    q.scale = _changed(rng, [float(v) for v in _list(q.scale)], lambda: rng.choice(_SCALES))


def scale_factor(rng: Rng, tree: Any) -> None:
    q = _quantized(rng, tree)
    factor = 2.0 ** rng.randint(-30, 30)
    q.scale = [float(np.float32(min(v * factor, 1e38))) for v in _list(q.scale)]


def zero_point(rng: Rng, tree: Any) -> None:
    q = _quantized(rng, tree)
    q.zeroPoint = _changed(rng, [int(v) for v in _list(q.zeroPoint)], lambda: rng.choice(_NUMBERS))


def axis(rng: Rng, tree: Any) -> None:
    _quantized(rng, tree).quantizedDimension = rng.choice(_NUMBERS)


def no_quantization(rng: Rng, tree: Any) -> None:
    _tensor(rng, tree).quantization = None


# ---- operators -----------------------------------------------------------------------------------


def _any_tensor(rng: Rng, tree: Any) -> int:
    count = len(tree.subgraphs[0].tensors)
    return rng.choice([-2, -1, count, *range(count), *range(count)])


def inputs(rng: Rng, tree: Any) -> None:
    op = _operator(rng, tree)
    op.inputs = _changed(rng, _list(op.inputs), lambda: _any_tensor(rng, tree))


def outputs(rng: Rng, tree: Any) -> None:
    op = _operator(rng, tree)
    op.outputs = _changed(rng, _list(op.outputs), lambda: _any_tensor(rng, tree))


def input_order(rng: Rng, tree: Any) -> None:
    op = _operator(rng, tree)
    op.inputs = rng.sample(_list(op.inputs), len(_list(op.inputs)))


def opcode(rng: Rng, tree: Any) -> None:
    code = rng.choice(tree.operatorCodes)
    value = rng.choice(list(OPCODE_NAMES))
    code.builtinCode, code.deprecatedBuiltinCode = value, min(value, 127)


def opcode_index(rng: Rng, tree: Any) -> None:
    _operator(rng, tree).opcodeIndex = rng.randrange(len(tree.operatorCodes) + 1)


def version(rng: Rng, tree: Any) -> None:
    rng.choice(tree.operatorCodes).version = rng.choice((*_NUMBERS, 4, 6, 7, 8, 9, 10, 12, 15))


def option(rng: Rng, tree: Any) -> None:
    options = _operator(rng, tree).builtinOptions
    fields = [k for k, v in vars(options or object).items() if isinstance(v, (int, float))]
    fields = [k for k in fields if not k.startswith("_")]
    if not fields:
        return
    field = rng.choice(fields)
    old = getattr(options, field)
    if isinstance(old, bool):
        setattr(options, field, not old)
    elif isinstance(old, float):
        setattr(options, field, rng.choice(_SCALES))
    else:
        setattr(options, field, rng.choice((0, 1, 2, 3, 4, 5, 100, -1, -4, *_NUMBERS)))


def no_options(rng: Rng, tree: Any) -> None:
    op = _operator(rng, tree)
    op.builtinOptions, op.builtinOptionsType = None, schema.BuiltinOptions.NONE


def other_options(rng: Rng, tree: Any) -> None:
    op = _operator(rng, tree)
    kinds = {k: v for k, v in vars(schema.BuiltinOptions).items() if isinstance(v, int) and v}
    name = rng.choice(sorted(kinds))
    op.builtinOptions, op.builtinOptionsType = getattr(schema, f"{name}T")(), kinds[name]


def operator_order(rng: Rng, tree: Any) -> None:
    rng.shuffle(tree.subgraphs[0].operators)


def operator_twice(rng: Rng, tree: Any) -> None:
    tree.subgraphs[0].operators.append(_operator(rng, tree))


# ---- the rest ------------------------------------------------------------------------------------


def graph_inputs(rng: Rng, tree: Any) -> None:
    g = tree.subgraphs[0]
    g.inputs = _changed(rng, _list(g.inputs), lambda: _any_tensor(rng, tree))


def graph_outputs(rng: Rng, tree: Any) -> None:
    g = tree.subgraphs[0]
    g.outputs = _changed(rng, _list(g.outputs), lambda: _any_tensor(rng, tree))


def schema_version(rng: Rng, tree: Any) -> None:
    tree.version = rng.choice((0, 1, 2, 4, 5, 255))


def _filled_buffers(tree: Any) -> list[Any]:
    return [b for b in tree.buffers if b.data is not None and len(b.data)]


def buffer_length(rng: Rng, tree: Any) -> None:
    filled = _filled_buffers(tree)
    if filled:
        buffer = rng.choice(filled)
        data = bytes(bytearray(buffer.data))
        size = rng.choice((0, 1, len(data) - 1, len(data) + 1, len(data) + 4, len(data) // 2))
        buffer.data = list((data + bytes(8))[:size])


def constant(rng: Rng, tree: Any) -> None:
    """A word of a small constant: axes, shapes, paddings, indices."""
    small = [b for b in _filled_buffers(tree) if 4 <= len(b.data) <= 64]
    if small:
        buffer = rng.choice(small)
        words = np.frombuffer(bytes(bytearray(buffer.data))[: len(buffer.data) // 4 * 4], "<i4")
        words = words.copy()
        words[rng.randrange(len(words))] = rng.choice(_NUMBERS)
        buffer.data = list(words.tobytes())


def outside(rng: Rng, tree: Any) -> None:
    """Data that is said to lie behind the flatbuffer."""
    buffer = rng.choice(tree.buffers)
    buffer.offset, buffer.size = rng.choice((2, 8, 1 << 20, 1 << 40)), rng.choice((1, 64, 1 << 33))
    buffer.data = None


MUTATIONS: tuple[Callable[[Rng, Any], None], ...] = (
    *(shape, shape_order, tensor_type, buffer_index, variable),
    *(scale, scale_factor, zero_point, axis, no_quantization),
    *(inputs, outputs, input_order, opcode, opcode_index, version),
    *(option, no_options, other_options, operator_order, operator_twice),
    *(graph_inputs, graph_outputs, schema_version, buffer_length, constant, outside),
)


_ALL = (*MUTATIONS, *mutate_file.MUTATIONS)
_BYTES_SHARE = 0.2  # of the mutants, those whose bytes are changed after all else
_OWN_SHARE = 0.5  # of the changes of a file with fused operators or a plan, those of just these
_ARCHIVE = b"PK\x03\x04"  # label files begin so, behind the flatbuffer


def _is_own(tree: Any) -> bool:
    """Whether the file has fused operators or a plan."""
    return bool(tree.metadata) or any(op.customOptions is not None for op in _ops(tree))


def _ops(tree: Any) -> list[Any]:
    return _list(tree.subgraphs[0].operators)


def _change(rng: Rng, own: bool) -> Callable[[Rng, Any], None]:
    if own and rng.random() < _OWN_SHARE:
        return rng.choice(mutate_own.MUTATIONS)
    return rng.choice(_ALL)


def mutant(content: bytes, seed: int) -> tuple[str, bytes] | None:
    """(what was changed, the bytes), or None where the change cannot be written at all."""
    rng = Rng(seed)
    if rng.random() < _BYTES_SHARE:
        change = rng.choice(mutate_bytes.MUTATIONS)
        changed = change(rng, content)
        return None if changed == content else (change.__name__, changed)
    pickled, unchanged = _unpacked(content)
    tree = pickle.loads(pickled)
    own = _is_own(tree)
    changes = [_change(rng, own) for _ in range(1 if rng.random() < 0.8 else 2)]
    try:
        for one in changes:
            one(rng, tree)
        changed = pack(tree)
        if own and rng.random() < 0.5:
            changed = mutate_own.plan_made_for_it(tree, changed, pack)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error):
        return None  # out of the range of its field
    if changed == unchanged:
        return None
    start = content.find(_ARCHIVE)
    behind = content[start:] if start >= 0 else b""
    return "+".join(one.__name__ for one in changes), changed + behind
