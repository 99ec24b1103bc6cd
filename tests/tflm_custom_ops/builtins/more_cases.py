# SPDX-License-Identifier: Apache-2.0
"""Random one-op models of arithmetic, comparisons, tables, reductions, lookups and resizing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from converter import tflite
from converter.tflite.schema import DTYPES, schema
from tests.tflm_custom_ops.builtins import one_op
from tests.tflm_custom_ops.builtins.cases import Case, Rng, any_scale, int8_values


def _plain(name: str, shape: tuple[int, ...], kind: Any) -> tflite.Tensor:
    return tflite.Tensor(name, shape, np.dtype(kind))


def _shapes(rng: Rng, count: int, most: int = 4) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Operands that broadcast, and the result's shape."""
    shape = tuple(int(v) for v in rng.integers(1, 5, int(rng.integers(1, most + 1))))
    found = []
    for _ in range(count):
        mine = tuple(1 if rng.random() < 0.2 else n for n in shape)
        found.append(mine[int(rng.integers(len(mine))) :] if rng.random() < 0.2 else mine)
    return found, tuple(np.broadcast_shapes(*found))


def squared_difference(rng: Rng) -> Case:
    shapes, out = _shapes(rng, 2)
    scales = [any_scale(rng) for _ in range(2)]
    y_scale = float(np.float32((max(s[0] for s in scales) * 128) ** 2 / rng.uniform(20, 300)))
    inputs = [one_op.activation(n, s, *t) for n, s, t in zip("ab", shapes, scales, strict=True)]
    y = one_op.activation("y", out, y_scale, any_scale(rng)[1])
    options = schema.SquaredDifferenceOptionsT()
    model = one_op.model("SQUARED_DIFFERENCE", options, inputs, y, version=2)
    return Case(model, tuple(int8_values(rng, s) for s in shapes))


_COMPARED = {
    "EQUAL": schema.EqualOptionsT,
    "NOT_EQUAL": schema.NotEqualOptionsT,
    "LESS": schema.LessOptionsT,
    "LESS_EQUAL": schema.LessEqualOptionsT,
    "GREATER": schema.GreaterOptionsT,
    "GREATER_EQUAL": schema.GreaterEqualOptionsT,
}


def compare_int8(rng: Rng) -> Case:
    name = str(rng.choice(list(_COMPARED)))
    shapes, out = _shapes(rng, 2)
    scales = [any_scale(rng)] * 2 if rng.random() < 0.5 else [any_scale(rng) for _ in range(2)]
    inputs = [one_op.activation(n, s, *t) for n, s, t in zip("ab", shapes, scales, strict=True)]
    model = one_op.model(name, _COMPARED[name](), inputs, _plain("y", out, np.bool_), version=2)
    values = [int8_values(rng, s) for s in shapes]
    if rng.random() < 0.5:  # equal ones are rare otherwise
        values = [(v // 32 * 32).astype(np.int8) for v in values]
    return Case(model, tuple(values))


def _int32(rng: Rng, name: str, options: Any, output: Any) -> Case:
    shapes, out = _shapes(rng, 2)
    inputs = [_plain(n, s, np.int32) for n, s in zip("ab", shapes, strict=True)]
    model = one_op.model(name, options, inputs, _plain("y", out, output), version=1)
    values = [rng.integers(-9, 9, s).astype(np.int32) for s in shapes]
    return Case(model, tuple(values))


def compare_int32(rng: Rng) -> Case:
    name = str(rng.choice(list(_COMPARED)))
    return _int32(rng, name, _COMPARED[name](), np.bool_)


def arithmetic_int32(rng: Rng) -> Case:
    name = str(rng.choice(["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"]))
    kind = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul"}.get(name, "MaximumMinimum")
    options = getattr(schema, f"{kind}OptionsT")()
    if kind != "MaximumMinimum":
        options.fusedActivationFunction = 0
    return _int32(rng, name, options, np.int32)


def extreme(rng: Rng) -> Case:
    name = str(rng.choice(["MAXIMUM", "MINIMUM"]))
    shapes, out = _shapes(rng, 2)
    scale = any_scale(rng)
    inputs = [one_op.activation(n, s, *scale) for n, s in zip("ab", shapes, strict=True)]
    y = one_op.activation("y", out, *scale)
    options = schema.MaximumMinimumOptionsT()
    model = one_op.model(name, options, inputs, y, version=2)
    return Case(model, tuple(int8_values(rng, s) for s in shapes))


def _int16_scale(rng: Rng) -> float:
    return float(np.float32(rng.uniform(1e-5, 1e-3)))


def _int16(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    if rng.random() < 0.2:
        return rng.choice(np.array([-32768, 32767], np.int16), shape)
    return rng.integers(-32768, 32768, shape).astype(np.int16)


def _int16_tensor(name: str, shape: tuple[int, ...], scale: float) -> tflite.Tensor:
    return tflite.Tensor(name, shape, np.dtype(np.int16), tflite.Quantization.per_tensor(scale, 0))


def arithmetic_int16(rng: Rng) -> Case:
    """Scales of operands that are equal, alike, or far apart; results that clamp at times."""
    name = str(rng.choice(["ADD", "SUB", "MUL"]))
    shapes, out = _shapes(rng, 2)
    first = _int16_scale(rng)
    second = rng.choice([first, _int16_scale(rng), first * rng.uniform(1e-4, 1)])
    scales = [float(np.float32(s)) for s in (first, second)]
    reach = scales[0] * scales[1] * 32768 if name == "MUL" else max(scales)
    y_scale = float(np.float32(reach * rng.uniform(0.3, 2.5)))
    inputs = [_int16_tensor(n, s, t) for n, s, t in zip("ab", shapes, scales, strict=True)]
    options = getattr(schema, {"ADD": "Add", "SUB": "Sub", "MUL": "Mul"}[name] + "OptionsT")()
    options.fusedActivationFunction = int(rng.choice([0, 0, 1, 2, 3]))
    model = one_op.model(name, options, inputs, _int16_tensor("y", out, y_scale), version=5)
    return Case(model, tuple(_int16(rng, s) for s in shapes), litert=name == "ADD")


def mean_int16(rng: Rng) -> Case:
    shape = tuple(int(v) for v in rng.integers(1, 7, int(rng.integers(1, 5))))
    first = int(rng.integers(0, len(shape)))
    axes = list(range(first, int(rng.integers(first, len(shape))) + 1))
    out = tuple(1 if i in axes else n for i, n in enumerate(shape))
    scale = _int16_scale(rng)
    y_scale = scale if rng.random() < 0.3 else float(np.float32(scale * rng.uniform(0.2, 1.5)))
    options = schema.ReducerOptionsT()
    options.keepDims = True
    inputs = [_int16_tensor("x", shape, scale), one_op.constant("axes", np.array(axes, np.int32))]
    model = one_op.model("MEAN", options, inputs, _int16_tensor("y", out, y_scale), version=2)
    return Case(model, (_int16(rng, shape),), litert=False)


def select(rng: Rng) -> Case:
    shapes, out = _shapes(rng, 3)
    kind = rng.choice([np.int8, np.int32, np.float32])

    def tensor(name: str, shape: tuple[int, ...]) -> tflite.Tensor:
        return (
            one_op.activation(name, shape, 0.1, 3) if kind == np.int8 else _plain(name, shape, kind)
        )

    inputs = [_plain("condition", shapes[0], np.bool_)]
    inputs += [tensor(n, s) for n, s in zip("ab", shapes[1:], strict=True)]
    options = schema.SelectV2OptionsT()
    model = one_op.model("SELECT_V2", options, inputs, tensor("y", out), version=1)
    values = [rng.integers(0, 2, shapes[0]).astype(np.bool_)]
    values += [rng.integers(-100, 100, s).astype(kind) for s in shapes[1:]]
    return Case(model, tuple(values), wheel=kind != np.int32)


def select_1(rng: Rng) -> Case:
    shape = tuple(int(v) for v in rng.integers(1, 4, 6))
    inputs = [_plain("condition", shape, np.bool_)]
    inputs += [one_op.activation(n, shape, 0.1, 3) for n in "ab"]
    y = one_op.activation("y", shape, 0.1, 3)
    model = one_op.model("SELECT", schema.SelectOptionsT(), inputs, y, version=1)
    values = [rng.integers(0, 2, shape).astype(np.bool_)]
    return Case(model, (*values, *(int8_values(rng, shape) for _ in "ab")), wheel=False)


def _table(rng: Rng, name: str, options: Any, y: tuple[float, int] | None, wheel: bool) -> Case:
    shape = tuple(int(v) for v in rng.integers(1, 12, 3))
    x = any_scale(rng)
    if name in ("RSQRT", "LOG"):
        x = (x[0], int(rng.integers(-128, 0)))
    if y is None:
        y = (float(np.float32(10 ** rng.uniform(-3, -0.5))), any_scale(rng)[1])
    values = int8_values(rng, shape)
    if name in ("RSQRT", "LOG"):
        values = np.maximum(values, x[1] + (name == "LOG")).astype(np.int8)
    tensors = one_op.activation("x", shape, *x), one_op.activation("y", shape, *y)
    model = one_op.model(name, options, [tensors[0]], tensors[1], version=2)
    return Case(model, (values,), wheel=wheel)


def logistic(rng: Rng) -> Case:
    return _table(rng, "LOGISTIC", None, (1 / 256, -128), wheel=True)


def tanh(rng: Rng) -> Case:
    return _table(rng, "TANH", None, (1 / 128, 0), wheel=True)


def gelu(rng: Rng) -> Case:
    options = schema.GeluOptionsT()
    options.approximate = bool(rng.random() < 0.5)
    return _table(rng, "GELU", options, None, wheel=False)


def rsqrt(rng: Rng) -> Case:
    return _table(rng, "RSQRT", None, None, wheel=True)


def absolute(rng: Rng) -> Case:
    return _table(rng, "ABS", schema.AbsOptionsT(), None, wheel=True)


def exp(rng: Rng) -> Case:
    return _table(rng, "EXP", schema.ExpOptionsT(), None, wheel=False)


def log(rng: Rng) -> Case:
    return _table(rng, "LOG", None, None, wheel=False)


def _reduce(rng: Rng, name: str) -> Case:
    shape = tuple(int(v) for v in rng.integers(1, 5, int(rng.integers(1, 5))))
    axes = [a for a in range(len(shape)) if rng.random() < 0.5] or [0]
    options = schema.ReducerOptionsT()
    options.keepDims = bool(rng.random() < 0.5 or len(axes) == len(shape))
    out = tuple(
        1 if i in axes else n for i, n in enumerate(shape) if options.keepDims or i not in axes
    )
    x = any_scale(rng)
    y = x if "REDUCE" in name else (x[0] * float(rng.uniform(0.5, 6)), any_scale(rng)[1])
    named = one_op.constant("axes", np.array(axes, np.int32))
    inputs = [one_op.activation("x", shape, *x), named]
    output = one_op.activation("y", out, float(np.float32(y[0])), y[1])
    model = one_op.model(name, options, inputs, output, version=2)
    # LiteRT's reference kernel adds int8 values as they are, without scale and zero point.
    return Case(model, (int8_values(rng, shape),), litert=name != "SUM")


def mean_of_any(rng: Rng) -> Case:
    return _reduce(rng, "MEAN")


def total(rng: Rng) -> Case:
    return _reduce(rng, "SUM")


def reduce_max(rng: Rng) -> Case:
    return _reduce(rng, "REDUCE_MAX")


def reduce_min(rng: Rng) -> Case:
    return _reduce(rng, "REDUCE_MIN")


def gather(rng: Rng) -> Case:
    shape = tuple(int(v) for v in rng.integers(1, 6, int(rng.integers(1, 5))))
    axis = int(rng.integers(len(shape)))
    batch = int(rng.integers(0, min(axis, 2) + 1)) if rng.random() < 0.3 else 0
    chosen = (*shape[:batch], *(int(v) for v in rng.integers(1, 5, int(rng.integers(0, 3)))))
    options = schema.GatherOptionsT()
    options.axis, options.batchDims = axis, batch
    out = shape[:axis] + chosen[batch:] + shape[axis + 1 :]
    indices = rng.integers(0, shape[axis], chosen).astype(np.int32)
    x = one_op.activation("x", shape, 0.1, 3)
    places = _plain("indices", chosen, np.int32)
    y = one_op.activation("y", out, 0.1, 3)
    model = one_op.model("GATHER", options, [x, places], y, version=2)
    return Case(model, (int8_values(rng, shape), indices), wheel=len(chosen) > 0 and len(out) > 0)


def negate(rng: Rng) -> Case:
    shape = tuple(int(v) for v in rng.integers(1, 6, 2))
    tensors = [_plain(n, shape, np.float32) for n in "xy"]
    model = one_op.model("NEG", schema.NegOptionsT(), tensors[:1], tensors[1], version=1)
    return Case(model, (rng.standard_normal(shape).astype(np.float32),))


def _resize(rng: Rng, name: str, options: Any) -> Case:
    h, w, oh, ow = (int(v) for v in rng.integers(1, 12, 4))
    if rng.random() < 0.5:
        oh, ow = h * int(rng.integers(1, 4)), w * int(rng.integers(1, 4))
    choice = rng.random()
    options.alignCorners, options.halfPixelCenters = choice < 0.3, choice > 0.6
    shape, scale = (1, h, w, int(rng.integers(1, 5))), any_scale(rng)
    size = one_op.constant("size", np.array([oh, ow], np.int32))
    inputs = [one_op.activation("x", shape, *scale), size]
    y = one_op.activation("y", (1, oh, ow, shape[3]), *scale)
    return Case(one_op.model(name, options, inputs, y, version=3), (int8_values(rng, shape),))


def resize_bilinear(rng: Rng) -> Case:
    return _resize(rng, "RESIZE_BILINEAR", schema.ResizeBilinearOptionsT())


def resize_nearest(rng: Rng) -> Case:
    return _resize(rng, "RESIZE_NEAREST_NEIGHBOR", schema.ResizeNearestNeighborOptionsT())


def transpose_conv(rng: Rng) -> Case:
    h, w, kh, kw, sh, sw, c, o = (int(v) for v in rng.integers(1, 5, 8))
    options = schema.TransposeConvOptionsT()
    options.strideH, options.strideW, options.padding = sh, sw, int(rng.integers(0, 2))
    options.fusedActivationFunction = int(rng.choice([0, 1, 3]))
    same = options.padding == schema.Padding.SAME
    out = (1, h * sh if same else (h - 1) * sh + kh, w * sw if same else (w - 1) * sw + kw, o)
    x = any_scale(rng)
    scales = rng.uniform(0.001, 0.01, o if rng.random() < 0.7 else 1).astype(np.float32)
    weights = rng.integers(-127, 128, (o, kh, kw, c)).astype(np.int8)
    inputs = [
        one_op.constant("shape", np.array(out, np.int32)),
        one_op.constant("weights", weights, scales),
        one_op.activation("x", (1, h, w, c), *x),
    ]
    if rng.random() < 0.5:
        bias = rng.integers(-3000, 3000, o).astype(np.int32)
        inputs.append(one_op.constant("bias", bias, x[0] * scales))
    y_scale = float(np.float32(x[0] * float(scales.mean()) * 100 * np.sqrt(kh * kw * c)))
    y = one_op.activation("y", out, y_scale, any_scale(rng)[1])
    model = one_op.model("TRANSPOSE_CONV", options, inputs, y, version=4)
    return Case(model, (int8_values(rng, (1, h, w, c)),))


def divide(rng: Rng) -> Case:
    """Not by zero, and of a fine result: else TFLite's kernels shift by more than 31 bits."""
    shapes, out = _shapes(rng, 2)
    (a, b), zero_point = [any_scale(rng) for _ in range(2)], any_scale(rng)[1]
    y = float(np.float32(a[0] / b[0] / rng.uniform(64, 300))), zero_point
    inputs = [one_op.activation(n, s, *t) for n, s, t in zip("ab", shapes, (a, b), strict=True)]
    options = schema.DivOptionsT()
    options.fusedActivationFunction = int(rng.choice([0, 0, 1, 3]))
    model = one_op.model("DIV", options, inputs, one_op.activation("y", out, *y), version=2)
    values = [int8_values(rng, s) for s in shapes]
    values[1] = np.where(values[1] == b[1], -128 if b[1] == 127 else b[1] + 1, values[1])
    return Case(model, (values[0], values[1].astype(np.int8)))


def logical(rng: Rng) -> Case:
    name = str(rng.choice(["LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT"]))
    shapes, out = _shapes(rng, 1 if name == "LOGICAL_NOT" else 2)
    inputs = [_plain(n, s, np.bool_) for n, s in zip("ab"[: len(shapes)], shapes, strict=True)]
    options = getattr(schema, f"{name.title().replace('_', '')}OptionsT")()
    model = one_op.model(name, options, inputs, _plain("y", out, np.bool_), version=1)
    return Case(model, tuple(rng.integers(0, 2, s).astype(np.bool_) for s in shapes))


def cast(rng: Rng) -> Case:
    shape = tuple(int(v) for v in rng.integers(1, 6, 2))
    kinds = [np.dtype(t) for t in (np.bool_, np.int8, np.uint8, np.int16, np.int32)]
    source = kinds[int(rng.integers(len(kinds)))]
    to = np.dtype([np.int32, np.float32, np.bool_][int(rng.integers(3))])
    options = schema.CastOptionsT()
    types = {dtype: code for code, dtype in DTYPES.items()}
    options.inDataType, options.outDataType = types[source], types[to]
    model = one_op.model("CAST", options, [_plain("x", shape, source)], _plain("y", shape, to))
    high = 2 if source == np.bool_ else min(np.iinfo(source).max, 1 << 30)
    low = 0 if source == np.bool_ else max(np.iinfo(source).min, -(1 << 30))
    x = rng.integers(low, high, shape) * (rng.random(shape) < 0.8)
    return Case(model, (x.astype(source),), wheel=source != np.uint8 and to != np.bool_)


GENERATORS: tuple[Callable[[Rng], Case], ...] = (
    squared_difference,
    compare_int8,
    compare_int32,
    arithmetic_int32,
    arithmetic_int16,
    mean_int16,
    extreme,
    divide,
    logical,
    cast,
    select,
    select_1,
    logistic,
    tanh,
    rsqrt,
    absolute,
    exp,
    log,
    gelu,
    mean_of_any,
    total,
    reduce_max,
    reduce_min,
    gather,
    negate,
    resize_bilinear,
    resize_nearest,
    transpose_conv,
)
