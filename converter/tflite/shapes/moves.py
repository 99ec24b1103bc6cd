# SPDX-License-Identifier: Apache-2.0
"""Shapes of what moves values."""

from __future__ import annotations

import math

from converter.tflite.schema import schema
from converter.tflite.shapes.known import (
    InvalidShapeError,
    Known,
    Shape,
    axis_of,
    broadcast,
    expect,
)


def reshaped(k: Known) -> Shape:
    if len(k.shapes) > 1:
        expect(len(k.shapes[1]) == 1, "got a new shape that is no vector")
        target = k.integers(1)
    elif k.options is not None and k.options.newShape is not None:
        target = [int(n) for n in k.options.newShape]
    else:
        raise InvalidShapeError("got no new shape")
    count, known = math.prod(k.shapes[0]), math.prod(n for n in target if n >= 0)
    if target.count(-1) == 1 and known and count % known == 0:
        target[target.index(-1)] = count // known
    fits = math.prod(target) == count and min(target, default=0) >= 0
    expect(fits, f"got {target} for {list(k.shapes[0])}: another number of elements")
    return tuple(target)


def squeezed(k: Known) -> Shape:
    x = k.shapes[0]
    named = None if k.options is None else k.options.squeezeDims
    if named is None or len(named) == 0:
        return tuple(n for n in x if n != 1)
    axes = {axis_of(int(a), len(x)) for a in named}
    expect(all(x[a] == 1 for a in axes), f"got dimensions {sorted(axes)} of {list(x)} to drop")
    return tuple(n for i, n in enumerate(x) if i not in axes)


def expanded(k: Known) -> Shape:
    x, places = k.shapes[0], k.integers(1)
    expect(len(places) == 1, f"got {len(places)} axes, expected one")
    at = axis_of(places[0], len(x) + 1)
    return (*x[:at], 1, *x[at:])


def transposed(k: Known) -> Shape:
    x, order = k.shapes[0], k.integers(1)
    expect(len(k.shapes[1]) == 1, "got an order that is no vector")
    expect(len(order) == len(x), f"got {len(order)} dimensions to order of {list(x)}")
    places = [axis_of(a, len(x)) for a in order]
    expect(sorted(places) == list(range(len(x))), f"got order {order} of {len(x)} dimensions")
    return tuple(x[i] for i in places)


def joined(k: Known) -> Shape:
    first = k.shapes[0]
    axis = axis_of(k.options.axis, len(first))
    for s in k.shapes:
        rest = len(s) == len(first) and s[:axis] + s[axis + 1 :] == first[:axis] + first[axis + 1 :]
        expect(rest, f"got {list(first)} and {list(s)} to join along {axis}")
    return (*first[:axis], sum(s[axis] for s in k.shapes), *first[axis + 1 :])


def packed(k: Known) -> Shape:
    first, count = k.shapes[0], k.options.valuesCount
    expect(len(set(k.shapes)) == 1, "got values of several shapes, expected one")
    expect(count == len(k.shapes), f"got {len(k.shapes)} values, the options say {count}")
    axis = axis_of(k.options.axis, len(first) + 1)
    return (*first[:axis], len(k.shapes), *first[axis:])


def padded(k: Known) -> Shape:
    x, pads = k.shapes[0], k.integers(1)
    shape = k.shapes[1]
    expect(shape == (len(x), 2), f"got paddings of shape {list(shape)} for {list(x)}")
    expect(min(pads, default=0) >= 0, f"got paddings {pads}, expected none below 0")
    if k.op.opcode == "MIRROR_PAD":
        edge = 1 if k.options.mode == schema.MirrorPadMode.REFLECT else 0
        most = [n - edge for n in x for _ in range(2)]
        fits = all(p <= limit for p, limit in zip(pads, most, strict=True))
        expect(fits, f"got paddings {pads} that reach beyond {list(x)}")
    return tuple(n + a + b for n, a, b in zip(x, pads[::2], pads[1::2], strict=True))


def tiled(k: Known) -> Shape:
    x, times = k.shapes[0], k.integers(1)
    expect(len(k.shapes[1]) == 1, "got counts that are no vector")
    expect(len(times) == len(x) and min(times, default=0) >= 0, f"got {times} for {list(x)}")
    return tuple(n * m for n, m in zip(x, times, strict=True))


def broadcast_to(k: Known) -> Shape:
    target = tuple(k.integers(1))
    expect(len(k.shapes[1]) == 1, "got a new shape that is no vector")
    expect(len(target) >= len(k.shapes[0]), f"got {list(target)} for {list(k.shapes[0])}")
    expect(broadcast(k.shapes[0], target) == target, f"got {list(target)}")
    return target


def filled(k: Known) -> Shape:
    expect(len(k.shapes[0]) == 1 and k.shapes[1] == (), "got no shape and scalar, expected both")
    dims = k.integers(0)
    expect(min(dims, default=0) >= 0, f"got {dims}")
    return tuple(dims)


def sliced(k: Known) -> Shape:
    x, begin, size = k.shapes[0], k.integers(1), k.integers(2)
    vectors = len(k.shapes[1]) == len(k.shapes[2]) == 1
    expect(vectors, "got begin and size that are no vectors")
    expect(len(begin) == len(size) == len(x), f"got begin {begin}, size {size} of {list(x)}")
    result = []
    for n, start, length in zip(x, begin, size, strict=True):
        found = n - start if length == -1 else length
        fits = 0 <= start <= n and 0 < found <= n - start
        expect(fits, f"got begin {begin}, size {size} of {list(x)}")
        result.append(found)
    return tuple(result)


def _entries(x: Shape, count: int, new: int, ellipsis: int) -> list[tuple[int, int]]:
    """(entry of begin, end and stride, or -1 for all; dimension, or -1 for a new one)."""
    dots = [i for i in range(count) if ellipsis >> i & 1]
    expect(len(dots) <= 1, "got several ellipses, expected one")
    fresh = [i for i in range(count) if new >> i & 1 and i not in dots]
    covered = len(x) - (count - len(fresh) - len(dots))
    expect(covered >= 0, f"got {count} bounds of {list(x)}")
    found: list[tuple[int, int]] = []
    axis = 0
    for i in range(count):
        if i in fresh:
            found.append((-1, -1))
            continue
        steps = covered if i in dots else 1
        found += [(-1 if i in dots else i, axis + n) for n in range(steps)]
        axis += steps
    return found + [(-1, n) for n in range(axis, len(x))]


def strided(k: Known) -> Shape:
    o, x = k.options, k.shapes[0]
    begin, end, step = (k.integers(i) for i in (1, 2, 3))
    vectors = all(len(shape) == 1 for shape in k.shapes[1:])
    expect(vectors and len(begin) == len(end) == len(step), f"got {begin}, {end}, {step}")
    expect(all(step), "got a stride of 0")
    expect(min(step, default=1) > -(1 << 31), "got a stride whose negative is no int32")
    result = []
    for i, axis in _entries(x, len(begin), o.newAxisMask, o.ellipsisMask):
        if i < 0:
            result.append(1 if axis < 0 else x[axis])
        elif o.shrinkAxisMask >> i & 1:
            fits = step[i] > 0 and -x[axis] <= begin[i] < x[axis]
            expect(fits, f"got place {begin[i]} of {x[axis]}")
        else:
            first = None if o.beginMask >> i & 1 else begin[i]
            last = None if o.endMask >> i & 1 else end[i]
            result.append(len(range(*slice(first, last, step[i]).indices(x[axis]))))
    return tuple(result)


def split(k: Known) -> list[Shape]:
    (axis,), x = k.integers(0), k.shapes[1]
    at, parts = axis_of(axis, len(x)), k.options.numSplits
    expect(parts == k.outputs, f"got {k.outputs} results, the options say {parts}")
    expect(x[at] % parts == 0, f"got {x[at]} values in {parts} parts")
    return [(*x[:at], x[at] // parts, *x[at + 1 :])] * parts


def split_v(k: Known) -> list[Shape]:
    x, sizes, (axis,) = k.shapes[0], k.integers(1), k.integers(2)
    at = axis_of(axis, len(x))
    expect(len(sizes) == k.outputs, f"got {k.outputs} results, expected {len(sizes)}")
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x[at] - sum(n for n in sizes if n >= 0)
    fits = sum(sizes) == x[at] and min(sizes) >= 0
    expect(fits, f"got parts of {sizes} of {x[at]} values")
    return [(*x[:at], n, *x[at + 1 :]) for n in sizes]


def unpacked(k: Known) -> list[Shape]:
    x, count = k.shapes[0], k.options.num
    at = axis_of(k.options.axis, len(x))
    fits = count == k.outputs == x[at]
    expect(fits, f"got {k.outputs} results and {count} in the options, expected {x[at]}")
    return [x[:at] + x[at + 1 :]] * count


def top_k(k: Known) -> list[Shape]:
    (count,), x = k.integers(1), k.shapes[0]
    expect(len(x) >= 1 and 0 <= count <= x[-1], f"got {count} largest of {list(x)}")
    return [(*x[:-1], count)] * 2
