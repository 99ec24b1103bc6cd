# SPDX-License-Identifier: Apache-2.0
"""The runtimes by name.

Each is made by a factory that is looked up by module and attribute when it is asked for, so that
nothing is imported that is not used and this package need not import `firmware` (imports go down:
``firmware`` uses ``converter``). To add a runtime, add a line to `RUNTIMES`; the factory is

    def create(model_bytes: bytes, threads: int) -> Runtime
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Int8Array = NDArray[np.int8]


class RuntimeUnavailableError(RuntimeError):
    """A runtime does not exist, cannot be set up here, or cannot run the model."""


class Runtime(Protocol):
    """Runs one quantized model."""

    def run(self, images: Int8Array) -> Int8Array:
        """Logits int8 ``[n, classes]`` of quantized images, int8 ``[n, h, w, channels]``."""
        ...


Factory = Callable[[bytes, int], Runtime]


@dataclasses.dataclass(frozen=True)
class RuntimeEntry:
    """A runtime by name.

    Attributes:
      name: as in ``--runtime``.
      module, attribute: where its factory is.
      runs: what it is, for the help text.
      batch: images per call (progress is shown between calls).
    """

    name: str
    module: str
    attribute: str
    runs: str
    batch: int


RUNTIMES = (
    RuntimeEntry("litert", "converter.runtimes.litert", "create", "LiteRT; plain models only", 32),
    RuntimeEntry(
        "host", "converter.runtimes.host_adapter", "create", "compiled C on this machine", 512
    ),
    RuntimeEntry("tflm", "converter.runtimes.tflm", "create", "TFLM wheel with our operators", 8),
    RuntimeEntry(
        "emulated", "firmware.runtime", "create", "the STM32F746 firmware in the emulator", 1
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


def create_runtime(name: str, model_bytes: bytes, threads: int) -> Runtime:
    """Makes a runtime for a model.

    Raises:
      RuntimeUnavailableError: unknown name, a missing package, or a model that it cannot run.
    """
    entry = entry_of(name)
    try:
        factory: Factory = getattr(importlib.import_module(entry.module), entry.attribute)
    except (ImportError, AttributeError) as error:
        raise RuntimeUnavailableError(f"runtime {name} is not available here: {error}") from error
    return factory(model_bytes, threads)
