# SPDX-License-Identifier: Apache-2.0
"""The emulated board as a runtime of `converter.evaluate` (`--runtime=emulated`)."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boards import get_board
from converter.runtimes.registry import RuntimeUnavailableError
from firmware.elf import MemoryUse
from firmware.emulator.emulator import Emulator, Inference
from firmware.errors import FirmwareError
from firmware.model import WEIGHTS_AUTO, build_model

DEFAULT_BOARD = "stm32f746g_disco"


class EmulatedRuntime:
    """Firmware of one model, on one emulated board per thread.

    Attributes:
      emulators: the boards; all run the same image.
      memory: sizes of the image.
      last: the last image's inference on the first board, or None.
    """

    def __init__(
        self,
        model: bytes,
        *,
        board: str = DEFAULT_BOARD,
        weights: str = WEIGHTS_AUTO,
        threads: int = 1,
    ) -> None:
        """Builds the firmware and boots it.

        Raises:
          FirmwareError: the model can not be compiled or does not fit the board.
        """
        chosen = get_board(board)
        with tempfile.TemporaryDirectory(prefix="vit-runtime-") as work:
            elf = Path(work) / "firmware.elf"
            self.memory: MemoryUse = build_model(model, chosen, elf, weights=weights)
            self.emulators = tuple(Emulator(chosen, elf) for _ in range(max(threads, 1)))
        self.last: Inference | None = None

    def run(self, images: NDArray[np.int8]) -> NDArray[np.int8]:
        """Logits int8[n, classes] of int8[n, height, width, channels]."""
        count = len(self.emulators)
        if count == 1 or len(images) == 1:
            logits = [self._classify(self.emulators[0], image) for image in images]
            return np.stack(logits)
        with ThreadPoolExecutor(count) as pool:
            parts = pool.map(self._classify_every, range(count), [images] * count)
            result = np.empty((len(images), self.emulators[0].model.classes), np.int8)
            for index, part in enumerate(parts):
                result[index::count] = part
        return result

    def _classify(self, emulator: Emulator, image: NDArray[np.int8]) -> NDArray[np.int8]:
        inference = emulator.classify(image)
        if emulator is self.emulators[0]:
            self.last = inference
        return inference.logits

    def _classify_every(self, index: int, images: NDArray[np.int8]) -> list[NDArray[np.int8]]:
        emulator = self.emulators[index]
        return [self._classify(emulator, image) for image in images[index :: len(self.emulators)]]

    def stack_high_water_bytes(self) -> int:
        """Most stack that any of the boards has used."""
        return max(emulator.stack_high_water_bytes() for emulator in self.emulators)

    def sram_total_bytes(self) -> int:
        """Arena, .data, .bss and the stack used so far."""
        return self.memory.sram_total_bytes(self.stack_high_water_bytes())


def create(model_bytes: bytes, threads: int) -> EmulatedRuntime:
    """Factory of `converter.runtimes.registry`."""
    try:
        return EmulatedRuntime(model_bytes, threads=threads)
    except FirmwareError as error:
        raise RuntimeUnavailableError(f"emulated: {error}") from error
