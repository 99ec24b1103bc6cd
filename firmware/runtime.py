# SPDX-License-Identifier: Apache-2.0
"""The emulated board as a runtime: ``converter.runtimes.open_runtime("emulated", model)``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from boards import Board
from boards.generic import generic_cortex_m7
from converter.compile import CompileError, compile_model
from converter.runtimes.interface import Array, Runtime, RuntimeUnavailableError
from converter.tflite import Graph, parse
from firmware.elf import MemoryUse
from firmware.emulator.counts import Inference
from firmware.emulator.emulator import Emulator
from firmware.errors import FirmwareError, ModelError
from firmware.model import WEIGHTS_AUTO, build_model
from tflm_vit.threads import Stopped, in_threads


class EmulatedRuntime(Runtime):
    """Firmware of one model, on one emulated board per thread.

    Attributes:
      emulators: the boards; all run the same image.
      memory: sizes of the image.
      last: the last inference on the first board, or None.
    """

    def __init__(
        self,
        model: bytes,
        *,
        board: Board | None = None,
        weights_in: str = WEIGHTS_AUTO,
        threads: int = 1,
    ) -> None:
        """Builds the firmware and boots it.

        Args:
          model: a fused and planned `.tflite`.
          board: None is a Cortex-M7 with as much memory as the model needs.
          weights_in: as in `firmware.model.build_model`.
          threads: emulated boards that `run_batch` uses side by side.

        Raises:
          FirmwareError: the model can not be compiled or does not fit the board.
          TfliteError: no model.
        """
        super().__init__(parse(model).graph)
        chosen = _fitting_board(model) if board is None else board
        with tempfile.TemporaryDirectory(prefix="vit-runtime-") as work:
            elf = Path(work) / "firmware.elf"
            self.memory: MemoryUse = build_model(model, chosen, elf, weights_in=weights_in)
            self.emulators = tuple(Emulator(chosen, elf) for _ in range(max(threads, 1)))
        self.last: Inference | None = None

    def _run(self, arrays: Sequence[Array]) -> list[Array]:
        return self._infer(self.emulators[0], arrays)

    def _run_batch(self, stacks: Sequence[Array]) -> list[Array]:
        count, boards = len(stacks[0]), self.emulators
        results = [np.empty((count, *o.shape), o.dtype) for o in self.outputs]

        def share(board: int, stopped: Stopped) -> None:
            for i in range(board, count, len(boards)):
                if stopped():
                    return
                ys = self._infer(boards[board], [stack[i] for stack in stacks])
                for result, y in zip(results, ys, strict=True):
                    result[i] = y.reshape(result.shape[1:])

        in_threads(share, range(len(boards)), len(boards))
        return results

    def _infer(self, emulator: Emulator, arrays: Sequence[Array]) -> list[Array]:
        inference = emulator.infer(b"".join(x.tobytes() for x in arrays))
        if emulator is self.emulators[0]:
            self.last = inference
        pairs = zip(inference.outputs, self.outputs, strict=True)
        return [np.frombuffer(y, spec.dtype) for y, spec in pairs]

    def stack_high_water_bytes(self) -> int:
        """Most stack that any of the boards has used."""
        return max(emulator.stack_high_water_bytes() for emulator in self.emulators)

    def sram_total_bytes(self) -> int:
        """Arena, .data, .bss and the stack used so far."""
        return self.memory.sram_total_bytes(self.stack_high_water_bytes())


def _fitting_board(model: bytes) -> Board:
    try:
        compiled = compile_model(model)
    except CompileError as error:
        raise ModelError(str(error)) from error
    try:
        return generic_cortex_m7(compiled.interface.arena_bytes, compiled.weights_bytes)
    except ValueError as error:
        raise FirmwareError(str(error)) from error


def create(model_bytes: bytes, graph: Graph, threads: int) -> EmulatedRuntime:
    """Factory of `converter.runtimes.registry`."""
    del graph
    try:
        return EmulatedRuntime(model_bytes, threads=threads)
    except FirmwareError as error:
        raise RuntimeUnavailableError(f"emulated: {error}") from error
