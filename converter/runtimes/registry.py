# SPDX-License-Identifier: Apache-2.0
"""The runtimes by name.

Each is made by a factory that is looked up by module and attribute when it is asked for, so that
nothing is imported that is not used and this package need not import `firmware` (imports go down:
``firmware`` uses ``converter``). To add a runtime, add a line to `RUNTIMES`; the factory is

    def create(model_bytes: bytes, graph: Graph, threads: int) -> Runtime
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable

from converter.runtimes.interface import Runtime, RuntimeUnavailableError
from converter.tflite import Graph, TfliteError, parse

Factory = Callable[[bytes, Graph, int], Runtime]


@dataclasses.dataclass(frozen=True)
class RuntimeEntry:
    """A runtime by name.

    Attributes:
      name: as in ``--runtime``.
      module, attribute: where its factory is.
      runs: what it is, for the help text.
      batch: images per call of `Runtime.run_batch` (progress is shown between calls).
    """

    name: str
    module: str
    attribute: str
    runs: str
    batch: int


RUNTIMES = (
    RuntimeEntry(
        "reference", "converter.runtimes.reference", "create", "the operators' definition, slow", 1
    ),
    RuntimeEntry("litert", "converter.runtimes.litert", "create", "LiteRT; plain models only", 32),
    RuntimeEntry("host", "converter.runtimes.host", "create", "compiled C on this machine", 512),
    RuntimeEntry(
        "tflm", "converter.runtimes.tflm.adapter", "create", "TFLM wheel with our operators", 8
    ),
    RuntimeEntry(
        "emulated", "firmware.runtime", "create", "the firmware on an emulated Cortex-M7", 1
    ),
)
RUNTIME_NAMES = tuple(entry.name for entry in RUNTIMES)


def entry_of(name: str) -> RuntimeEntry:
    """The runtime called ``name``.

    Raises:
      RuntimeUnavailableError: there is none.
    """
    for entry in RUNTIMES:
        if entry.name == name:
            return entry
    raise RuntimeUnavailableError(f"runtime: got {name!r}, expected {', '.join(RUNTIME_NAMES)}")


def open_runtime(name: str, model_bytes: bytes, threads: int = 1) -> Runtime:
    """Makes a runtime for a model.

    Example:
      runtime = open_runtime("host", pathlib.Path("fused.tflite").read_bytes())
      (logits,) = runtime.run(image)  # of runtime.inputs[0].shape and .dtype

    Args:
      name: one of `RUNTIME_NAMES`.
      model_bytes: a `.tflite`. `host` and `emulated` need a planned one; `litert` a plain one.
      threads: of one `run` in litert, of `run_batch` in host and emulated; else without effect.

    Raises:
      RuntimeUnavailableError: unknown name, a missing package, or a model that it cannot run.
    """
    entry = entry_of(name)
    try:
        factory: Factory = getattr(importlib.import_module(entry.module), entry.attribute)
    except (ImportError, AttributeError) as error:
        raise RuntimeUnavailableError(f"runtime {name} is not available here: {error}") from error
    try:
        return factory(model_bytes, parse(model_bytes).graph, threads)
    except TfliteError as error:
        raise RuntimeUnavailableError(f"{name}: {error}") from error
