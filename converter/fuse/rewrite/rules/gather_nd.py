# SPDX-License-Identifier: Apache-2.0
"""GATHER_ND at constant places as a GATHER of rows: the first dimensions count as one."""

from __future__ import annotations

import numpy as np

from converter.fuse.rewrite.building import Builder
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView


def _apply(view: GraphView, op: int) -> Edit | None:
    (source, places), (result,) = view.op(op).inputs, view.op(op).outputs
    x, data = view.tensor(source), view.tensor(places).data
    if data is None or not data.size:
        return None
    depth = data.shape[-1]
    limits = np.array(x.shape[:depth])
    if np.any(data < 0) or np.any(data >= limits):
        return None  # an error or zeros, as the kernel has it
    b = Builder(view)
    rows = b.reshape(source, (int(np.prod(limits)), *x.shape[depth:]))
    flat = np.ravel_multi_index(tuple(np.moveaxis(data, -1, 0)), tuple(limits))
    order = b.constant(flat.astype(np.int32), f"{x.name}/rows")
    b.op("GATHER", [rows, order], [result], "GatherOptions", axis=0, batchDims=0)
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "gather_nd",
    "writes GATHER_ND at constant places as a GATHER of rows",
    frozenset({"GATHER_ND"}),
    _apply,
)
