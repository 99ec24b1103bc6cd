# SPDX-License-Identifier: Apache-2.0
"""Runs ``.tflite`` files, fused or plain, in the TensorFlow Lite Micro wheel from PyPI.

    from converter.runtimes.tflm.interpreter import TflmInterpreter

    interpreter = TflmInterpreter(pathlib.Path("fused.tflite").read_bytes())
    logits = interpreter.invoke(image_int8)          # the model's own int8, quantized input
    print(interpreter.arena_usage.total_bytes)

The first use compiles the operators for this machine (seconds) and checks that the wheel has the
struct layout they were compiled for; later uses find both done.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

from converter.plan.problem import PlanError
from converter.plan.stored import check_plans
from converter.runtimes.interface import Array, TensorSpec
from converter.runtimes.tflm import abi
from converter.runtimes.tflm.errors import (
    TflmAbiError,
    TflmArenaError,
    TflmError,
    TflmInvokeError,
    TflmModelError,
)
from converter.runtimes.tflm.library import OperatorLibrary, operator_library
from converter.runtimes.tflm.stderr_capture import StderrCapture, one_line
from converter.tflite import Model, TfliteError, parse, serialize

# TFLM's own kernels do not check what they allocate while they prepare and crash in an arena that
# is too small. So a model is always prepared in a generous arena first; pages of it that nothing
# touches cost nothing.
_ROOMY_ARENA_BYTES = 1 << 26
_MAX_ARENA_BYTES = 1 << 30  # TFLM computes sizes in int
_ARENA_ALIGNMENT = 16
_ABORT = 15  # kTfLiteAbort of micro_context.h: an operator ended the run, and it is no error
# TFLM's messages when memory, and not the model, is the reason (micro_allocator.cc,
# single_arena_buffer_allocator.cc, arena planners, kernels' own allocations).
_ARENA_TEXT = re.compile(
    r"Failed to (resize buffer|allocate|request)|[Uu]nable to allocate|[Cc]ould ?n.t allocate|"
    r"Requested: \d+|bytes required|no room to request",
)
_TOTALS = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")
_RECORD = re.compile(
    r"'([^']+)' used (\d+) bytes with alignment overhead \(requested (\d+) bytes for (\d+)"
)


@dataclasses.dataclass(frozen=True)
class AllocationRecord:
    """One kind of TFLM bookkeeping in the arena, as its recording allocator reports it."""

    name: str
    used_bytes: int
    requested_bytes: int
    count: int


@dataclasses.dataclass(frozen=True)
class ArenaUsage:
    """What a model takes of the arena, in bytes; an arena of ``total_bytes`` suffices.

    Attributes:
      total_bytes: head and tail together.
      head_bytes: the planned part: activations and scratch buffers.
      tail_bytes: TFLM's bookkeeping and the kernels' persistent data. Pointers have 8 bytes in
        the wheel and 4 on a Cortex-M, so this part is about twice as large as on the device.
      records: the parts of the tail that TFLM itemizes.
    """

    total_bytes: int
    head_bytes: int
    tail_bytes: int
    records: tuple[AllocationRecord, ...]


def _checked(content: bytes) -> Model:
    """The model, with everything checked that TFLM would follow blindly."""
    try:
        model = parse(content)
        check_plans(model)
    except (TfliteError, PlanError) as error:
        raise TflmModelError(f"model: {error}") from error
    return model


class TflmInterpreter:
    """A model in TensorFlow Lite Micro, with the project's custom operators available.

    Not for use from several threads at once; several interpreters may exist.

    Attributes:
      inputs, outputs: of the model, in the file's order.
      arena_bytes: size of the arena.
    """

    def __init__(
        self,
        model: bytes,
        arena_bytes: int | None = None,
        *,
        library: OperatorLibrary | None = None,
        preserve_all_tensors: bool = False,
    ) -> None:
        """Checks the model and allocates its tensors.

        Args:
          model: a ``.tflite``. It is repacked in memory so that weights are 16-byte aligned.
          arena_bytes: arena size; None takes one that is large enough.
          library: custom operators; None takes the project's.
          preserve_all_tensors: keep intermediate tensors for :meth:`tensor`. TFLM then shares no
            memory between tensors, refuses models with a memory plan, and ``arena_bytes`` should
            be left None: it is not checked.

        Raises:
          TflmModelError: malformed, or refused by TFLM (an operator it lacks, bad options).
          TflmArenaError: ``arena_bytes`` is too small.
          TflmAbiError, TflmBuildError: the environment, see :func:`operator_library`.
        """
        abi.check_wheel()
        checked = _checked(model)
        graph = checked.graph
        self._library = operator_library() if library is None else library
        self._preserves = preserve_all_tensors
        self._model = serialize(checked)
        self.inputs = tuple(TensorSpec.of(graph.tensors[i]) for i in graph.inputs)
        self.outputs = tuple(TensorSpec.of(graph.tensors[i]) for i in graph.outputs)
        activations = sum(t.nbytes + _ARENA_ALIGNMENT for t in graph.tensors if not t.is_constant)
        roomy = _ROOMY_ARENA_BYTES + 8 * activations
        self.arena_bytes = min(roomy, _MAX_ARENA_BYTES)
        self._interpreter = self._allocate(self.arena_bytes)
        if arena_bytes is not None:
            self._check_arena(arena_bytes)
            self.arena_bytes = arena_bytes
            self._interpreter = self._allocate(arena_bytes)

    def _check_arena(self, arena_bytes: int) -> None:
        if arena_bytes > _MAX_ARENA_BYTES:
            raise TflmArenaError(f"arena: got {arena_bytes} bytes, expected <= {_MAX_ARENA_BYTES}")
        if self._preserves:
            return  # TFLM records nothing in this mode
        needed = self.arena_usage.total_bytes
        if arena_bytes // _ARENA_ALIGNMENT * _ARENA_ALIGNMENT < needed:
            raise TflmArenaError(f"arena: got {arena_bytes} bytes, the model needs {needed}")

    def _allocate(self, arena_bytes: int) -> Any:
        from tflite_micro.python.tflite_micro import runtime

        config = runtime.InterpreterConfig
        mode = config.kPreserveAllTensors if self._preserves else config.kAllocationRecording
        failure: Exception | None = None
        with StderrCapture() as captured:
            try:
                interpreter = runtime.Interpreter.from_bytes(
                    self._model,
                    custom_op_registerers=[self._library.registerer],
                    arena_size=arena_bytes,
                    intrepreter_config=mode,
                )
            except (RuntimeError, ValueError) as error:
                failure = error
        if failure is None:
            return interpreter
        text = one_line(captured.text) or str(failure)
        kind: type[TflmError] = TflmModelError
        if _ARENA_TEXT.search(text):
            kind, text = TflmArenaError, f"arena of {arena_bytes} bytes is too small: {text}"
        raise kind(f"TFLM refused the model: {text}") from failure

    def invoke(self, x: Array) -> Array:
        """Runs the model on its one input and returns its first output.

        Args:
          x: exactly the input's shape and type (see ``inputs``): quantized, batch included.

        Raises:
          TflmInvokeError: wrong input, or an operator failed (TFLM's text is in the message).
        """
        return self.invoke_all(x)[0]

    def invoke_all(self, *xs: Array) -> tuple[Array, ...]:
        """Runs the model on all inputs, in the model's order; returns all outputs."""
        outputs = self.invoke_part(*xs)
        if outputs is None:
            raise TflmInvokeError("the model takes its input in parts; see streamed.py")
        return outputs

    def invoke_part(self, *xs: Array) -> tuple[Array, ...] | None:
        """As :meth:`invoke_all`; None where an operator ends the run to be given more input."""
        self._set_inputs(xs)
        failure: Exception | None = None
        status = 0
        with StderrCapture() as captured:
            try:
                status = self._interpreter.invoke()
            except RuntimeError as error:
                failure = error
        if failure is None and status == _ABORT:
            return None
        if failure is not None or status:
            reason = one_line(captured.text) or str(failure or f"status {status}")
            raise TflmInvokeError(f"TFLM failed to run the model: {reason}") from failure
        return tuple(self._interpreter.get_output(i) for i in range(len(self.outputs)))

    def _set_inputs(self, xs: tuple[Array, ...]) -> None:
        if len(xs) != len(self.inputs):
            raise TflmInvokeError(f"inputs: got {len(xs)}, expected {len(self.inputs)}")
        for index, (x, details) in enumerate(zip(xs, self.inputs, strict=True)):
            if x.shape != details.shape or x.dtype != details.dtype:
                raise TflmInvokeError(
                    f"input {index}: got {x.dtype} {list(x.shape)}, expected {details.dtype} "
                    f"{list(details.shape)}"
                )
            whole = np.ascontiguousarray(x).reshape(x.shape)  # of a scalar it makes a vector
            self._interpreter.set_input(whole, index)

    def reset(self) -> None:
        """Forgets input given in parts, and the state of variable tensors."""
        self._interpreter.reset()

    def tensor(self, index: int) -> Array:
        """Tensor ``index`` of the main graph after an invoke; needs ``preserve_all_tensors``."""
        if not self._preserves:
            raise TflmInvokeError("tensor(): make the interpreter with preserve_all_tensors=True")
        data: Array = self._interpreter.GetTensor(index, 0)["tensor_data"]
        return data

    @property
    def arena_usage(self) -> ArenaUsage:
        """What the model takes of the arena, from TFLM's recording allocator."""
        if self._preserves:
            raise TflmInvokeError("arena_usage: not recorded with preserve_all_tensors=True")
        with StderrCapture() as captured:
            self._interpreter.print_allocations()
        totals = {kind: int(count) for kind, count in _TOTALS.findall(captured.text)}
        if set(totals) != {"total", "head", "tail"}:
            raise TflmAbiError(f"TFLM's allocation report is not understood: {captured.text!r}")
        records = tuple(
            AllocationRecord(name, int(used), int(requested), int(count))
            for name, used, requested, count in _RECORD.findall(captured.text)
        )
        return ArenaUsage(totals["total"], totals["head"], totals["tail"], records)

    @property
    def arena_used_bytes(self) -> int:
        """Smallest arena that holds the model, in bytes (``arena_usage.total_bytes``)."""
        return self.arena_usage.total_bytes
