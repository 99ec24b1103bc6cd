# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite Micro in the PyPI wheel, with the project's operators."""

from __future__ import annotations

from collections.abc import Sequence

from converter.runtimes.interface import Array, Runtime, RuntimeUnavailableError
from converter.runtimes.tflm.errors import TflmError
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.support.verdict import WHEEL, reasons_of
from converter.tflite import Graph


class TflmRuntime(Runtime):
    """One interpreter; TFLM has no threads."""

    def __init__(self, model_bytes: bytes, graph: Graph) -> None:
        super().__init__(graph)
        self._interpreter = TflmInterpreter(model_bytes)

    def _run(self, arrays: Sequence[Array]) -> Sequence[Array]:
        return self._interpreter.invoke_all(*arrays)


def create(model_bytes: bytes, graph: Graph, threads: int) -> TflmRuntime:
    """Factory of `converter.runtimes.registry`; ``threads`` has no effect."""
    del threads
    missing = reasons_of(WHEEL, graph)  # the wheel aborts on some forms that it does not have
    if missing:
        raise RuntimeUnavailableError(f"tflm: TFLM does not run it: {'; '.join(missing)}")
    try:
        return TflmRuntime(model_bytes, graph)
    except TflmError as error:
        raise RuntimeUnavailableError(f"tflm: {error}") from error
