# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite Micro in the PyPI wheel, with the project's operators."""

from __future__ import annotations

import numpy as np

from converter.runtimes.registry import Int8Array, RuntimeUnavailableError
from tflm_custom_ops.tflm.errors import TflmError
from tflm_custom_ops.tflm.runtime import TflmInterpreter


class TflmRuntime:
    """One interpreter; TFLM has no threads."""

    def __init__(self, interpreter: TflmInterpreter) -> None:
        self._interpreter = interpreter

    def run(self, images: Int8Array) -> Int8Array:
        shape = self._interpreter.inputs[0].shape
        rows = [self._interpreter.invoke(x.reshape(shape)).reshape(-1) for x in images]
        return np.stack(rows).astype(np.int8)


def create(model_bytes: bytes, threads: int) -> TflmRuntime:
    """Factory of `converter.runtimes.registry`; ``threads`` has no effect."""
    del threads
    try:
        return TflmRuntime(TflmInterpreter(model_bytes))
    except TflmError as error:
        raise RuntimeUnavailableError(f"tflm: {error}") from error
