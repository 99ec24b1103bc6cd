# SPDX-License-Identifier: Apache-2.0
"""LiteRT: the reference accuracy of plain models.

ai-edge-litert is used and not ``tf.lite.Interpreter``, whose XNNPACK delegate is wrong for an int8
BATCH_MATMUL whose right side has a zero point (TensorFlow 2.21).
"""

from __future__ import annotations

from collections.abc import Sequence

from ai_edge_litert.interpreter import Interpreter

from converter.runtimes.interface import Array, Runtime, RuntimeUnavailableError
from converter.tflite import Graph


class LiteRtRuntime(Runtime):
    """One interpreter with LiteRT's own threads."""

    def __init__(self, model_bytes: bytes, graph: Graph, threads: int) -> None:
        super().__init__(graph)
        self._interpreter = Interpreter(model_content=model_bytes, num_threads=threads)
        self._interpreter.allocate_tensors()
        # The interpreter lists each tensor in the file's order, one that is named twice twice.
        self._input_details = self._interpreter.get_input_details()
        self._output_details = self._interpreter.get_output_details()

    def _run(self, arrays: Sequence[Array]) -> list[Array]:
        for detail, x in zip(self._input_details, arrays, strict=True):
            self._interpreter.set_tensor(detail["index"], x)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(detail["index"]) for detail in self._output_details]


def create(model_bytes: bytes, graph: Graph, threads: int) -> LiteRtRuntime:
    """Factory of `converter.runtimes.registry`."""
    custom = sorted({op.custom_code for op in graph.operators if op.custom_code})
    if custom:
        raise RuntimeUnavailableError(
            f"litert: has no operators {', '.join(custom)}; it runs plain models (of "
            "converter.evaluate: --plain_model=FILE)"
        )
    try:
        return LiteRtRuntime(model_bytes, graph, threads)
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise RuntimeUnavailableError(f"litert: refused the model: {text}") from error
