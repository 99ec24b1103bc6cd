# SPDX-License-Identifier: Apache-2.0
"""The compiled runtime on this machine: dataset-scale inference, and the plan's debug mode.

model = HostModel(pathlib.Path("fused.tflite").read_bytes())
logits = model.run(images)          # int8 [n, height, width, channels] -> int8 [n, classes]
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
import threading
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from converter.compile import CompiledModel, CompileError, compile_model
from converter.compile.arena import disjoint_plan
from converter.compile.planned import PlannedGraph, plan_from_model, read_graph
from converter.plan import Plan
from converter.runtimes import host_build
from converter.runtimes.interface import Array, Runtime, RuntimeUnavailableError
from converter.tflite import Graph
from tflm_vit.threads import Stopped, in_threads

Int8Array = NDArray[np.int8]
Bytes = NDArray[np.uint8]

_ARENA_ALIGNMENT = 64
_GUARD_BYTES = 1 << 16  # wide: a scratch that is too small may be missed by kilobytes
_GUARD = 0x5C
_POISONS = (0xA5, 0x3B)  # two values that differ in every nibble
_VIOLATIONS = {
    1: "wrote a byte that the plan says is dead",
    2: "changed a buffer that a later operator reads",
}


class PlanViolationError(AssertionError):
    """A compiled model does not obey its memory plan; names the operator and the byte."""


class StreamError(RuntimeError):
    """Rows were pushed in a wrong order or number."""


class _Arena:
    """Aligned memory between two guards."""

    def __init__(self, size: int) -> None:
        raw = np.full(size + 2 * _GUARD_BYTES + _ARENA_ALIGNMENT, _GUARD, np.uint8)
        start = -raw.ctypes.data % _ARENA_ALIGNMENT + _GUARD_BYTES
        self.bytes = raw[start : start + size]
        self._guards = (raw[:start], raw[start + size :])

    def address(self) -> int:
        return self.bytes.ctypes.data

    def guards_intact(self) -> bool:
        return all(bool((guard == _GUARD).all()) for guard in self._guards)


class HostModel:
    """A fused ``.tflite``, compiled for this machine.

    The first use of a model compiles it (seconds); later ones find it in the cache.
    """

    def __init__(self, model_bytes: bytes, plan: Plan | None = None) -> None:
        """Compiles the model.

        Args:
          model_bytes: a fused and planned ``.tflite``.
          plan: memory plan instead of the file's own.

        Raises:
          CompileError: the model is not one that the compiled runtime runs.
          HostBuildError: no C compiler, or it failed.
        """
        self._model_bytes = model_bytes
        self._plan = plan
        self.compiled: CompiledModel = compile_model(model_bytes, plan)
        self.interface = self.compiled.interface
        self._library = ctypes.CDLL(str(host_build.build_library(self.compiled)))
        self._debug_library: ctypes.CDLL | None = None

    def run(self, images: Int8Array, threads: int = 2) -> Int8Array:
        """Logits of quantized images.

        Args:
          images: int8 ``[n, height, width, channels]``, the model's own input quantization.
          threads: at least 1; each has an arena of its own.

        Returns:
          int8 ``[n, outputs]``.

        Raises:
          ValueError: wrong type, shape or number of threads; not an image classifier.
        """
        return self._run_rows(self._checked(images), threads).view(np.int8)

    def run_stacks(self, stacks: Sequence[Array], threads: int = 2) -> list[Array]:
        """Outputs ``[n, *shape]`` of stacks ``[n, *shape]``, one per input, of the right types."""
        return self._unpacked(self._run_rows(self._packed(stacks), threads))

    def _packed(self, stacks: Sequence[Array]) -> Bytes:
        count = len(stacks[0])
        # The size is named: -1 is no size where there are no samples.
        rows = [
            np.ascontiguousarray(x).reshape(count, -1 if count else math.prod(t.shape))
            for x, t in zip(stacks, self.interface.inputs, strict=True)
        ]
        return np.concatenate([row.view(np.uint8) for row in rows], axis=1)

    def _unpacked(self, rows: Bytes) -> list[Array]:
        parts, start = [], 0
        for t in self.interface.outputs:
            part = np.ascontiguousarray(rows[:, start : start + t.size_bytes])
            parts.append(part.view(t.dtype).reshape(len(rows), *t.shape))
            start += t.size_bytes
        return parts

    def _run_rows(self, inputs: Bytes, threads: int) -> Bytes:
        """Output bytes ``[n, OUTPUT_BYTES]`` of input bytes ``[n, INPUT_BYTES]``."""
        if threads < 1:
            raise ValueError(f"threads: got {threads}, expected at least 1")
        outputs = np.empty((len(inputs), self.interface.output_bytes), np.uint8)
        pieces = _pieces(len(inputs), threads)
        lock = threading.Lock()

        def worker(_: int, stopped: Stopped) -> None:
            arena = _Arena(self.interface.arena_bytes)
            while not stopped():
                with lock:
                    piece = next(pieces, None)
                if piece is None:
                    return
                self._run_piece(self._library, arena, inputs[piece], outputs[piece])

        workers = min(threads, max(1, len(inputs)))
        in_threads(worker, range(workers), workers)
        return outputs

    def run_checked(self, images: Int8Array) -> Int8Array:
        """The same logits from the debug build, which proves that the plan is obeyed.

        Dead bytes are poisoned before each operator, all free bytes are canaries, and the whole
        runs with two poison values: no operator reads what the plan says is dead. The result is
        compared with that of a plan in which no two buffers share a byte: no operator
        overwrites what it has yet to read.

        Raises:
          PlanViolationError: an operator wrote or read outside its buffers.
        """
        return self._run_rows_checked(self._checked(images)).view(np.int8)

    def run_stacks_checked(self, stacks: Sequence[Array]) -> list[Array]:
        """`run_checked` of any model's inputs; see `run_stacks`."""
        return self._unpacked(self._run_rows_checked(self._packed(stacks)))

    def _run_rows_checked(self, inputs: Bytes) -> Bytes:
        if self._debug_library is None:
            self._debug_library = ctypes.CDLL(
                str(host_build.build_library(self.compiled, debug=True))
            )
        results = [self._run_poisoned(self._debug_library, inputs, p) for p in _POISONS]
        if not np.array_equal(results[0], results[1]):
            raise PlanViolationError(
                "an operator reads bytes that the plan says are dead: the logits depend on the "
                "poison; plan the model again and report it"
            )
        if not np.array_equal(results[0], self._run_disjoint(inputs)):
            raise PlanViolationError(
                "the logits are not those of a plan without overwriting: an operator overwrites "
                "what it has yet to read; plan the model again and report it"
            )
        return results[0]

    def _run_disjoint(self, inputs: Bytes) -> Bytes:
        plan = self._plan or plan_from_model(self._model_bytes)
        planned = PlannedGraph(read_graph(self._model_bytes), plan)
        compiled = compile_model(self._model_bytes, disjoint_plan(planned))
        library = ctypes.CDLL(str(host_build.build_library(compiled)))
        arena = _Arena(compiled.interface.arena_bytes)
        outputs = np.empty((len(inputs), self.interface.output_bytes), np.uint8)
        self._run_piece(library, arena, inputs, outputs)
        return outputs

    def _run_poisoned(self, library: ctypes.CDLL, inputs: Bytes, poison: int) -> Bytes:
        arena = _Arena(self.interface.arena_bytes)
        outputs = np.empty((len(inputs), self.interface.output_bytes), np.uint8)
        report = (ctypes.c_int32 * 3)()
        library.vit_host_debug_start(ctypes.c_uint8(poison))
        for i in range(len(inputs)):
            self._run_piece(library, arena, inputs[i : i + 1], outputs[i : i + 1])
            library.vit_host_debug_report(report)
            if report[0]:
                raise PlanViolationError(
                    f"operator {report[1]} {_VIOLATIONS[report[0]]} (arena offset {report[2]})"
                )
            if not arena.guards_intact():
                raise PlanViolationError("an operator wrote outside the arena")
        return outputs

    def _run_piece(
        self, library: ctypes.CDLL, arena: _Arena, inputs: Bytes, outputs: Bytes
    ) -> None:
        status = library.vit_host_run(
            ctypes.c_void_p(arena.address()),
            ctypes.c_void_p(inputs.ctypes.data),
            ctypes.c_void_p(outputs.ctypes.data),
            ctypes.c_size_t(len(inputs)),
        )
        if status:
            raise StreamError(f"the streaming functions returned {status}")

    def _checked(self, images: Int8Array) -> Bytes:
        i = self.interface.image
        if i is None:
            raise ValueError("the model is no classifier of int8 images; use run_stacks")
        expected = (i.height, i.width, i.channels)
        if images.dtype != np.int8 or images.ndim != 4 or images.shape[1:] != expected:
            raise ValueError(
                f"images: got {images.dtype} {list(images.shape)}, expected int8 "
                f"[n, {i.height}, {i.width}, {i.channels}]"
            )
        return np.ascontiguousarray(images).reshape(len(images), math.prod(expected)).view(np.uint8)

    def stream(self) -> HostStream:
        """A new image for a streamed model.

        Raises:
          ValueError: the model is not streamed.
        """
        if not self.interface.streamed:
            raise ValueError("the model's input is resident; plan it with streamed input")
        return HostStream(self._library, self.interface.output_bytes, self.interface.arena_bytes)


def _pieces(count: int, threads: int) -> Iterator[slice]:
    """Consecutive slices, several per thread so that none waits long for another at the end."""
    size = max(1, count // (8 * threads))
    return iter([slice(i, min(i + size, count)) for i in range(0, count, size)])


@dataclasses.dataclass
class HostStream:
    """begin / push_rows / finish of a streamed model, as a camera's driver would call them."""

    _library: ctypes.CDLL
    _output_bytes: int
    _arena_bytes: int

    def __post_init__(self) -> None:
        self._arena = _Arena(self._arena_bytes)

    def begin(self) -> int:
        """Starts an image; 0, or a VIT_MODEL_ERROR code as the other functions."""
        return int(self._library.vit_host_begin(ctypes.c_void_p(self._arena.address())))

    def push_rows(self, rows: Int8Array) -> int:
        """Pushes int8 ``[count, width, channels]``."""
        rows = np.ascontiguousarray(rows)
        return int(
            self._library.vit_host_push_rows(
                ctypes.c_void_p(self._arena.address()),
                ctypes.c_void_p(rows.ctypes.data),
                ctypes.c_int(len(rows)),
            )
        )

    def finish(self) -> tuple[int, Int8Array]:
        """Runs the rest: (status, logits int8 ``[outputs]``); zeros unless the status is 0."""
        logits = np.zeros(self._output_bytes, np.int8)
        status = self._library.vit_host_finish(
            ctypes.c_void_p(self._arena.address()), ctypes.c_void_p(logits.ctypes.data)
        )
        return int(status), logits


class HostRuntime(Runtime):
    """The compiled model; `run_batch` uses several threads, each with its own arena."""

    def __init__(self, model_bytes: bytes, graph: Graph, threads: int) -> None:
        super().__init__(graph)
        self._model = HostModel(model_bytes)
        self._threads = threads

    def _run(self, arrays: Sequence[Array]) -> list[Array]:
        return self._model.run_stacks([x[np.newaxis] for x in arrays], 1)

    def _run_batch(self, stacks: Sequence[Array]) -> list[Array]:
        return self._model.run_stacks(stacks, self._threads)


def create(model_bytes: bytes, graph: Graph, threads: int) -> HostRuntime:
    """Factory of `converter.runtimes.registry`."""
    try:
        return HostRuntime(model_bytes, graph, threads)
    except (CompileError, host_build.HostBuildError) as error:
        raise RuntimeUnavailableError(f"host: {error}") from error
