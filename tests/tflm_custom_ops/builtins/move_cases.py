# SPDX-License-Identifier: Apache-2.0
"""Random one-op models of the operators that move values."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter import tflite
from converter.tflite.schema import schema
from tests.tflm_custom_ops.builtins import one_op
from tests.tflm_custom_ops.builtins.cases import Case, Rng, any_values

# What the wheel's kernels take of both types; LiteRT is asked for every type.
_TYPES = (np.int8, np.int8, np.float32)


def _tensor(name: str, shape: tuple[int, ...], kind: Any) -> tflite.Tensor:
    if np.dtype(kind) == np.int8:
        return one_op.activation(name, shape, 0.02, 5)
    return tflite.Tensor(name, shape, np.dtype(kind))


def _values(rng: Rng, shape: tuple[int, ...], kind: Any) -> np.ndarray:
    if np.dtype(kind) == np.float32:
        return rng.standard_normal(shape).astype(np.float32)
    return any_values(rng, shape, np.dtype(kind))


def _shape(rng: Rng, most: int, low: int = 1) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(low, 6, int(rng.integers(1, most + 1))))


def _ints(name: str, values: Any) -> tflite.Tensor:
    return one_op.constant(name, np.asarray(values, np.int32))


def _either(rng: Rng, axis: int, rank: int) -> int:
    """The axis, counted from the front or from behind."""
    return axis - rank if rng.random() < 0.5 else axis


def _moved(rng: Rng, name: str, x: tuple[int, ...], outs: Any, spec: dict[str, Any]) -> Case:
    """One operand and constants; `spec`: options, before, after, kind, wheel."""
    kind = spec.get("kind", rng.choice(_TYPES))
    inputs = [*spec.get("before", ()), _tensor("x", x, kind), *spec.get("after", ())]
    outputs = [_tensor(f"y{i}", shape, kind) for i, shape in enumerate(outs)]
    version = spec.get("version", 2)
    model = one_op.model(name, spec.get("options"), inputs, *outputs, version=version)
    return Case(model, (_values(rng, x, kind),), wheel=spec.get("wheel", True))


def transpose(rng: Rng) -> Case:
    shape = _shape(rng, 6)
    axes = [int(a) for a in rng.permutation(len(shape))]
    out = tuple(shape[a] for a in axes)
    spec = {"options": schema.TransposeOptionsT(), "after": [_ints("permutation", axes)]}
    # The wheel's kernel takes five dimensions.
    return _moved(rng, "TRANSPOSE", shape, [out], spec | {"wheel": len(shape) <= 5})


def slice_(rng: Rng) -> Case:
    shape = _shape(rng, 5)
    begin = [int(rng.integers(0, n)) for n in shape]
    size = [int(rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True)]
    to_end = [rng.random() < 0.3 for _ in shape]
    out = [n - b if e else s for n, b, s, e in zip(shape, begin, size, to_end, strict=True)]
    named = [-1 if e else s for s, e in zip(size, to_end, strict=True)]
    spec = {
        "options": schema.SliceOptionsT(),
        "after": [_ints("begin", begin), _ints("size", named)],
    }
    return _moved(rng, "SLICE", shape, [tuple(out)], spec)


def _parts(rng: Rng, equal: bool) -> tuple[tuple[int, ...], int, list[int], list[Any]]:
    shape = _shape(rng, 4)
    axis, count = int(rng.integers(len(shape))), int(rng.integers(1, 5))
    sizes = [int(v) for v in rng.integers(1, 4, count)]
    if equal:
        sizes = sizes[:1] * count
    outs = [(*shape[:axis], s, *shape[axis + 1 :]) for s in sizes]
    return (*shape[:axis], sum(sizes), *shape[axis + 1 :]), axis, sizes, outs


def split(rng: Rng) -> Case:
    shape, axis, _, outs = _parts(rng, equal=True)
    options = schema.SplitOptionsT()
    options.numSplits = len(outs)
    axes = _ints("axis", _either(rng, axis, len(shape)))
    return _moved(rng, "SPLIT", shape, outs, {"options": options, "before": [axes]})


def split_v(rng: Rng) -> Case:
    shape, axis, sizes, outs = _parts(rng, equal=False)
    options = schema.SplitVOptionsT()
    options.numSplits = len(outs)
    after = [_ints("sizes", sizes), _ints("axis", _either(rng, axis, len(shape)))]
    return _moved(rng, "SPLIT_V", shape, outs, {"options": options, "after": after})


def unpack(rng: Rng) -> Case:
    shape = _shape(rng, 5)
    axis = int(rng.integers(len(shape)))
    options = schema.UnpackOptionsT()
    options.num, options.axis = shape[axis], _either(rng, axis, len(shape))
    outs = [shape[:axis] + shape[axis + 1 :]] * shape[axis]
    return _moved(rng, "UNPACK", shape, outs, {"options": options})


def pack(rng: Rng) -> Case:
    shape, kind, count = _shape(rng, 4), rng.choice(_TYPES), int(rng.integers(1, 5))
    axis = int(rng.integers(len(shape) + 1))
    options = schema.PackOptionsT()
    options.valuesCount, options.axis = count, _either(rng, axis, len(shape) + 1)
    inputs = [_tensor(f"x{i}", shape, kind) for i in range(count)]
    y = _tensor("y", (*shape[:axis], count, *shape[axis:]), kind)
    model = one_op.model("PACK", options, inputs, y, version=2)
    return Case(model, tuple(_values(rng, shape, kind) for _ in inputs))


def tile(rng: Rng) -> Case:
    shape = _shape(rng, 3)
    multiples = [int(v) for v in rng.integers(1, 4, len(shape))]
    out = tuple(n * k for n, k in zip(shape, multiples, strict=True))
    spec = {"options": schema.TileOptionsT(), "after": [_ints("multiples", multiples)]}
    return _moved(rng, "TILE", shape, [out], spec | {"wheel": False})  # it has none


def broadcast_to(rng: Rng) -> Case:
    out = _shape(rng, 5)
    shape = tuple(1 if rng.random() < 0.4 else n for n in out)[int(rng.integers(len(out))) :]
    spec = {"options": schema.BroadcastToOptionsT(), "after": [_ints("shape", out)]}
    return _moved(rng, "BROADCAST_TO", shape, [out], spec)


def concatenation_with_a_constant(rng: Rng) -> Case:
    """A class token before the tokens."""
    tokens, dim = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    scale = (np.array([0.02], np.float32), 5)
    token = rng.integers(-128, 128, (1, 1, dim)).astype(np.int8)
    first = one_op.constant("token", token, scale[0], zero_point=scale[1])
    options = schema.ConcatenationOptionsT()
    options.axis, options.fusedActivationFunction = 1, 0
    x = _tensor("x", (1, tokens, dim), np.int8)
    y = _tensor("y", (1, tokens + 1, dim), np.int8)
    model = one_op.model("CONCATENATION", options, [first, x], y, version=2)
    return Case(model, (_values(rng, x.shape, np.int8),))


def padv2(rng: Rng) -> Case:
    shape = _shape(rng, 4)
    paddings = rng.integers(0, 3, (len(shape), 2)).astype(np.int32)
    out = tuple(int(n + p.sum()) for n, p in zip(shape, paddings, strict=True))
    value = rng.integers(-128, 128, ()).astype(np.int8)
    scale = np.array([0.02], np.float32)
    after = [_ints("paddings", paddings), one_op.constant("value", value, scale, zero_point=5)]
    spec = {"options": schema.PadV2OptionsT(), "after": after, "kind": np.int8}
    return _moved(rng, "PADV2", shape, [out], spec)


def strided_slice_back(rng: Rng) -> Case:
    """Negative steps, new axes and an ellipsis, as NumPy indexes; a place that a mask says is 0."""
    shape = _shape(rng, 3, low=2)
    options = schema.StridedSliceOptionsT()
    options.beginMask = options.endMask = options.shrinkAxisMask = 0
    options.ellipsisMask = options.newAxisMask = 0
    index: list[Any] = []
    bounds: list[tuple[int, int, int]] = []
    for axis, n in enumerate(shape):
        if rng.random() < 0.2:
            options.newAxisMask |= 1 << len(bounds)
            bounds.append((0, 1, 1))
            index.append(None)
        if axis == 0 and rng.random() < 0.3:
            options.ellipsisMask |= 1 << len(bounds)
            bounds.append((0, 0, 1))
            index.append(Ellipsis)
            continue
        if rng.random() < 0.2:
            options.beginMask |= 1 << len(bounds)
            options.shrinkAxisMask |= 1 << len(bounds)
            bounds.append((n - 1, n, 1))
            index.append(0)
            continue
        by = int(rng.choice([1, 2, -1, -2]))
        options.beginMask |= 1 << len(bounds)
        options.endMask |= 1 << len(bounds)
        bounds.append((0, n, by))
        index.append(slice(None, None, by))
    out = np.empty(shape)[tuple(index)].shape
    names = ("begin", "end", "step")
    after = [_ints(n, v) for n, v in zip(names, zip(*bounds, strict=True), strict=True)]
    spec = {"options": options, "after": after, "kind": np.int8}
    masks = options.newAxisMask or options.ellipsisMask
    return _moved(rng, "STRIDED_SLICE", shape, [out], spec | {"wheel": not masks})


def space_to_depth(rng: Rng) -> Case:
    h, w, c, b = (int(v) for v in rng.integers(1, 5, 4))
    options = schema.SpaceToDepthOptionsT()
    options.blockSize = b
    spec = {"options": options}
    return _moved(rng, "SPACE_TO_DEPTH", (1, h * b, w * b, c), [(1, h, w, c * b * b)], spec)


def depth_to_space(rng: Rng) -> Case:
    h, w, c, b = (int(v) for v in rng.integers(1, 5, 4))
    options = schema.DepthToSpaceOptionsT()
    options.blockSize = b
    spec = {"options": options, "version": 1}
    return _moved(rng, "DEPTH_TO_SPACE", (1, h, w, c * b * b), [(1, h * b, w * b, c)], spec)


GENERATORS = (
    transpose,
    slice_,
    split,
    split_v,
    unpack,
    pack,
    tile,
    broadcast_to,
    concatenation_with_a_constant,
    padv2,
    strided_slice_back,
    space_to_depth,
    depth_to_space,
)
