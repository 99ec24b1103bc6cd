# SPDX-License-Identifier: Apache-2.0
"""Shapes of what is looked up by index, and of what makes shapes and ranges."""

from __future__ import annotations

import math

from converter.tflite.shapes.known import Known, Shape, axes_of, axis_of, expect


def gathered(k: Known) -> Shape:
    x, places = k.shapes[:2]
    axis = axis_of(k.options.axis, len(x))
    batch = k.options.batchDims
    expect(-len(places) <= batch <= len(places), f"got {batch} batch dimensions")
    batch = batch % len(places) if batch < 0 else batch
    fits = batch <= axis and x[:batch] == places[:batch]
    expect(fits, f"got {batch} batch dimensions of {list(x)}, {list(places)}")
    indices_fit(k, 1, x[axis])
    return x[:axis] + places[batch:] + x[axis + 1 :]


def indices_fit(k: Known, position: int, count: int) -> None:
    values = k.values[position]
    if values is not None and values.size:
        low, high = int(values.min()), int(values.max())
        expect(low >= 0 and high < count, f"got indices {low}..{high} of {count}")


def gathered_nd(k: Known) -> Shape:
    x, places = k.shapes
    expect(len(x) >= 1 and len(places) >= 1 and places[-1] <= len(x), "got too many indices")
    if k.values[1] is not None:
        for axis in range(places[-1]):
            column = k.value(1)[..., axis]
            fits = not column.size or (int(column.min()) >= 0 and int(column.max()) < x[axis])
            expect(fits, f"got an index outside dimension {axis} of {list(x)}")
    return places[:-1] + x[places[-1] :]


def embedded(k: Known) -> Shape:
    places, table = k.shapes
    expect(len(places) == 1 and len(table) >= 2, f"got {list(places)} and {list(table)}")
    indices_fit(k, 0, table[0])
    return (places[0], *table[1:])


def cumulated(k: Known) -> Shape:
    expect(len(k.integers(1)) == 1, "got several axes, expected one")
    axes_of(k)
    return k.shapes[0]


def updated(k: Known) -> Shape:
    x, update, start = k.shapes
    fits = len(update) == len(x) and start == (len(x),)
    fits = fits and all(a <= b for a, b in zip(update, x, strict=False))
    expect(fits, f"got update {list(update)} of {list(x)}")
    return x


def reverse(k: Known) -> Shape:
    expect(len(axes_of(k)) == len(k.integers(1)), "got an axis twice")
    return k.shapes[0]


def one_hot(k: Known) -> Shape:
    depth, x, axis = k.integers(1), k.shapes[0], k.options.axis
    expect(len(depth) == 1 and depth[0] >= 0, f"got depth {depth}")
    expect(k.shapes[2] == k.shapes[3] == (), "got values on and off that are no scalars")
    at = len(x) if axis == -1 else axis_of(axis, len(x) + 1)
    return (*x[:at], depth[0], *x[at:])


def ranged(k: Known) -> Shape:
    start, limit, delta = (float(k.value(i).reshape(-1)[0]) for i in range(3))
    expect(delta != 0 and (limit - start) * delta >= 0, "got a range without end")
    return (math.ceil((limit - start) / delta),)


def scalar(k: Known) -> Shape:
    return ()


def shape_of(k: Known) -> Shape:
    return (len(k.shapes[0]),)


def broadcast_args(k: Known) -> Shape:
    expect(all(len(s) == 1 for s in k.shapes), "got shapes that are no vectors")
    return (max(s[0] for s in k.shapes),)
