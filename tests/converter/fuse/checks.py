# SPDX-License-Identifier: Apache-2.0
"""What the fuser's tests measure: plain and fused results against the float values."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np

from converter.fuse import FuseReport, fuse_model
from converter.runtimes.reference import GraphInterpreter, litert_interpreter
from converter.tflite import parse
from tests.converter.fuse.plain_graph import PlainGraph

Array = np.ndarray[Any, Any]


def sqnr_db(expected: Array, got: Array) -> float:
    """Signal to quantization noise in dB."""
    noise = float(np.sum((expected - got) ** 2))
    return 10.0 * float(np.log10(np.sum(expected**2) / max(noise, 1e-30)))


def run_litert(model_bytes: bytes, inputs: Array) -> Array:
    """int8 results of LiteRT's reference kernels, one row per input."""
    interpreter = litert_interpreter(model_bytes)
    source = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]
    rows = []
    for x in inputs:
        interpreter.set_tensor(source, x)
        interpreter.invoke()
        rows.append(interpreter.get_tensor(result).copy())
    return np.stack(rows)


def run_fused(model_bytes: bytes, inputs: Array) -> Array:
    interpreter = GraphInterpreter(model_bytes)
    return np.stack([interpreter.run(x) for x in inputs])


def real_output(model_bytes: bytes, q: Array) -> Array:
    graph = parse(model_bytes).graph
    t = graph.tensors[graph.outputs[0]]
    return (q.astype(np.float64) - t.zero_point) * t.scale


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A graph fused and run.

    Attributes:
      report: of the fuser.
      plain_db, fused_db: SQNR against the float values.
    """

    report: FuseReport
    model_bytes: bytes
    plain_db: float
    fused_db: float

    @property
    def codes(self) -> Counter[str]:
        return Counter(op.custom_code for op in self.report.fused)


def outcome(g: PlainGraph, x: int, y: int, residual_bits: int = 8) -> Outcome:
    """Fuses a graph made by hand and runs it on its sample."""
    plain = g.finish(y)
    result = fuse_model(plain, residual_bits)
    sample = g.quantized(x)[None]
    expected = g.value(y)[None]
    return Outcome(
        result.report,
        result.model_bytes,
        sqnr_db(expected, real_output(plain, run_litert(plain, sample))),
        sqnr_db(expected, real_output(plain, run_fused(result.model_bytes, sample))),
    )
