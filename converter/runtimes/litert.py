# SPDX-License-Identifier: Apache-2.0
"""LiteRT: the reference accuracy of plain models.

ai-edge-litert is used and not ``tf.lite.Interpreter``, whose XNNPACK delegate is wrong for an int8
BATCH_MATMUL whose right side has a zero point (TensorFlow 2.21).
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from converter import tflite
from converter.runtimes.registry import Int8Array, RuntimeUnavailableError


class LiteRtRuntime:
    """One interpreter with LiteRT's own threads."""

    def __init__(self, model_bytes: bytes, threads: int) -> None:
        self._interpreter = Interpreter(model_content=model_bytes, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def run(self, images: Int8Array) -> Int8Array:
        rows = []
        for image in images:
            self._interpreter.set_tensor(self._input["index"], image.reshape(self._input["shape"]))
            self._interpreter.invoke()
            rows.append(self._interpreter.get_tensor(self._output["index"]).reshape(-1))
        return np.stack(rows).astype(np.int8)


def create(model_bytes: bytes, threads: int) -> LiteRtRuntime:
    """Factory of `converter.runtimes.registry`."""
    try:
        graph = tflite.parse(model_bytes).graph
    except tflite.TfliteError as error:
        raise RuntimeUnavailableError(f"litert: {error}") from error
    custom = sorted({op.custom_code for op in graph.operators if op.custom_code})
    if custom:
        raise RuntimeUnavailableError(
            f"litert: has no operators {', '.join(custom)}; give the plain model with "
            "--plain_model=FILE"
        )
    try:
        return LiteRtRuntime(model_bytes, threads)
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise RuntimeUnavailableError(f"litert: refused the model: {text}") from error
