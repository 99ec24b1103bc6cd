# SPDX-License-Identifier: Apache-2.0
"""A dilated convolution over time that was taken apart (Conv1D of TCN, WaveNet) is put together.

SPACE_TO_BATCH_ND puts every d-th step into a batch of its own, CONV_2D of one row follows, and
BATCH_TO_SPACE_ND goes back: that is CONV_2D with a dilation of d.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np

from converter.fuse.layout import view_input
from converter.fuse.op_semantics import RESHAPES
from converter.fuse.rewrite.building import Builder, is_int8, same_type, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView
from converter.tflite.schema import schema


def _behind(view: GraphView, op: int) -> tuple[int, tuple[int, ...]] | None:
    """(operator, reshapes before it) that reads an operator's result, alone."""
    passed: tuple[int, ...] = ()
    while True:
        reader = single_reader(view, view.op(op).outputs[0])
        if reader is None:
            return None
        if view.op(reader).opcode not in RESHAPES or view_input(view, reader) is None:
            return reader, passed
        op, passed = reader, (*passed, reader)


def _net_padding(view: GraphView, start: int, end: int) -> tuple[int, int, int] | None:
    """(dilation, steps before, steps after) of the one axis."""
    block, pads = (view.tensor(i).data for i in view.op(start).inputs[1:])
    same, crops = (view.tensor(i).data for i in view.op(end).inputs[1:])
    if block is None or pads is None or same is None or crops is None or block.size != 1:
        return None
    (before, after), (first, last) = (p.reshape(-1) for p in (pads, crops))
    if block.reshape(-1)[0] != same.reshape(-1)[0] or first or last > after:
        return None  # what is cropped at the end depends on what was padded there alone
    return int(block.reshape(-1)[0]), int(before), int(after - last)


def _is_row(view: GraphView, conv: int, steps: tuple[int, ...]) -> bool:
    """Whether it convolves [batch, 1, time, channels] of those steps, alone, one by one."""
    x = view.tensor(view.op(conv).inputs[0])
    o = view.op(conv).options
    plain = (o.strideH, o.strideW, o.dilationHFactor, o.dilationWFactor) == (1, 1, 1, 1)
    valid = o.padding == schema.Padding.VALID
    return plain and valid and x.shape == (steps[0], 1, *steps[1:])


def _apply(view: GraphView, op: int) -> Edit | None:
    found = _behind(view, op)
    if found is None or view.op(found[0]).opcode != "CONV_2D":
        return None
    conv, before = found
    found = _behind(view, conv)
    if found is None or view.op(found[0]).opcode != "BATCH_TO_SPACE_ND":
        return None
    end, after = found
    source, result = view.op(op).inputs[0], view.op(end).outputs[0]
    x, y = view.tensor(source), view.tensor(result)
    net = _net_padding(view, op, end)
    cut = view.tensor(view.op(op).outputs[0]).shape
    if net is None or len(x.shape) != 3 or x.shape[0] != 1 or not _is_row(view, conv, cut):
        return None
    produced = view.op(conv).outputs[0]
    if not is_int8(x) or not same_type(y, view.tensor(produced)):
        return None
    dilation, first, last = net
    b = Builder(view)
    row = b.reshape(source, (1, 1, *x.shape[1:]))
    if first or last:
        steps = x.shape[1] + first + last
        pads = b.constant(np.array([[0, 0], [0, 0], [first, last], [0, 0]], np.int32), "paddings")
        padded = b.like(source, (1, 1, steps, x.shape[2]), f"{x.name}/padded")
        b.op("PAD", [row, pads], [padded], "PadOptions")
        row = padded
    options = copy.copy(view.op(conv).options)
    options.dilationWFactor = dilation
    made = b.like(produced, (1, 1, *y.shape[1:]), f"{y.name}/row")
    b.operators.append(
        dataclasses.replace(
            view.op(conv),
            inputs=(row, *view.op(conv).inputs[1:]),
            outputs=(made,),
            options=options,
        )
    )
    b.reshape(made, y.shape, result)
    return Edit((op, *before, conv, *after, end), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "space_to_batch",
    "puts a dilated convolution over time together that SPACE_TO_BATCH_ND took apart",
    frozenset({"SPACE_TO_BATCH_ND"}),
    _apply,
)
