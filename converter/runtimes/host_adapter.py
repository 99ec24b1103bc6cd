# SPDX-License-Identifier: Apache-2.0
"""The compiled runtime on this machine."""

from __future__ import annotations

from converter.compile import CompileError
from converter.host_build import HostBuildError
from converter.runtimes.host import HostModel
from converter.runtimes.registry import Int8Array, RuntimeUnavailableError


class HostRuntime:
    """Several threads, each with its own arena."""

    def __init__(self, model: HostModel, threads: int) -> None:
        self._model = model
        self._threads = threads

    def run(self, images: Int8Array) -> Int8Array:
        return self._model.run(images, self._threads)


def create(model_bytes: bytes, threads: int) -> HostRuntime:
    """Factory of `converter.runtimes.registry`."""
    try:
        return HostRuntime(HostModel(model_bytes), threads)
    except (CompileError, HostBuildError) as error:
        raise RuntimeUnavailableError(f"host: {error}") from error
