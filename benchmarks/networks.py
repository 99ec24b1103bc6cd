# SPDX-License-Identifier: Apache-2.0
"""Measures a benchmark network: Keras -> int8 -> fused -> firmware, run on the emulated board."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tflm_vit
from boards import Board, get_board
from converter import tflite
from converter.plan import plan_model, read_plan
from converter.quantize.ptq import quantize
from firmware.emulator.emulator import Emulator
from firmware.emulator.qemu.emulator import QemuEmulator
from firmware.errors import FirmwareError
from firmware.model import build_model
from firmware.model_info import ModelInfo
from keras_models.arch import ArchConfig
from keras_models.load import resolve_model

SEED = 1
CALIBRATION_IMAGES = 4
M4_BOARD = "openmv_cam_m4"
M55_BOARD = "mps3_an547"


@dataclasses.dataclass(frozen=True)
class Job:
    """One measurement: a preset with random weights, the bits of its residual stream and of its
    weights, the board it runs on and where the weights are there."""

    preset: str
    residual_bits: int
    weight_bits: int = 8
    board: str = "stm32f746g_disco"
    weights: str = "auto"

    @property
    def form(self) -> str:
        """Its name among the preset's figures: int8, int16, int8/4 with weights of 4 bits."""
        return f"int{self.residual_bits}" + (
            "" if self.weight_bits == 8 else f"/{self.weight_bits}"
        )


# The images do not influence counts or memory; smooth ones give activations of natural spread.
JOBS = (
    Job("vit_t_240", 8),
    Job("vit_t_240", 16),
    Job("vit_t_240", 8, weight_bits=4),
    Job("mcuformer_t_max", 8),
    Job("mcuformer_t_max", 16),
    Job("vit_micro_32", 8),
    Job("vit_micro_32", 16),
    Job("hybrid_32", 8),
    Job("hybrid_32", 8, weight_bits=4),
    Job("hybrid_32_wide", 8),
    Job("hybrid_32_wide", 8, weight_bits=4),
    Job("vit_digits", 8),
    Job("vit_digits", 16),
    Job("vit_s_240", 8),
)


@dataclasses.dataclass(frozen=True)
class OperatorFigures:
    """One operator of a network: its share of the instructions, and its own stack."""

    name: str
    instructions: int
    stack_bytes: int


@dataclasses.dataclass(frozen=True)
class NetworkFigures:
    """Figures of a network; every one is measured, none is derived from another network.

    Attributes:
      macs: multiply-accumulates of the architecture.
      ops, plain_ops: operators after and before fusing.
      instructions: of one inference on the emulated board, exact; streamed where that exists.
      arena_streamed_bytes, arena_resident_bytes: planned arenas, scratch included. A network with
        a convolutional stem has no streamed form.
      sram_total_streamed_bytes: arena + .data + .bss + stack really used, from the ELF and the run;
        sram_total_resident_bytes where there is no streamed form.
      stack_bytes: highest stack use of the run.
      flash_bytes, external_flash_bytes: programmed bytes by memory.
      kernel_code_bytes: code of the kernels in that ELF.
      weights: where the weights are, `internal` or `qspi`.
      instructions_m4: the same inference on the emulated Cortex-M4 board, where it fits.
      instructions_m55: ... on a Cortex-M55 with Helium, where QEMU is there.
      operators: per operator.
      weight_bits: of the weights: 8, or 4 in all layers that can.
    """

    macs: int
    ops: int
    plain_ops: int
    instructions: int
    arena_streamed_bytes: int | None
    arena_resident_bytes: int
    sram_total_streamed_bytes: int | None
    sram_total_resident_bytes: int | None
    stack_bytes: int
    flash_bytes: int
    external_flash_bytes: int
    kernel_code_bytes: int
    weights: str
    instructions_m4: int | None
    instructions_m55: int | None
    operators: tuple[OperatorFigures, ...]
    weight_bits: int


def synthetic_images(count: int, size: int, channels: int, seed: int) -> NDArray[np.float32]:
    """Smooth random images in [-1, 1]: float32 [count, size, size, channels]."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0, 2 * np.pi, size)
    images = np.zeros((count, size, size, channels))
    for frequency in (1, 2, 4, 8):
        phase = rng.uniform(0, 2 * np.pi, (count, 2, channels))
        wave = np.sin(frequency * grid[:, None] + phase[:, None, 0])[:, :, None]
        images += wave * np.cos(frequency * grid[:, None] + phase[:, None, 1])[:, None] / frequency
    images += rng.normal(0, 0.1, images.shape)
    return np.clip(images / 1.5, -1, 1).astype(np.float32)


def plain_model(preset: str) -> tuple[ArchConfig, bytes]:
    """The preset with random weights as a plain int8 `.tflite`."""
    arch, model = resolve_model(preset, "random", SEED)
    images = synthetic_images(CALIBRATION_IMAGES, arch.image_size, arch.channels, SEED)
    return arch, quantize(model, arch, images)


def quantized_image(info: ModelInfo) -> NDArray[np.int8]:
    height, _, channels = info.image_shape
    image = synthetic_images(1, height, channels, SEED + 1)[0]
    return np.clip(np.rint(image * 127), -128, 127).astype(np.int8)


def _instructions_m55(model: bytes) -> int | None:
    """Instructions on a core with Helium; None without QEMU."""
    board = get_board(M55_BOARD)
    try:
        with tempfile.TemporaryDirectory() as work:
            elf = Path(work) / "firmware.elf"
            build_model(model, board, elf)
            with contextlib.closing(QemuEmulator(board, elf)) as emulator:
                return emulator.classify(quantized_image(emulator.model)).instructions
    except FirmwareError:
        return None


def _on_board(model: bytes, board: Board, weights: str) -> tuple[Emulator, int]:
    """The emulated board after one image, and the instructions of that image."""
    with tempfile.TemporaryDirectory() as work:
        elf = Path(work) / "firmware.elf"
        build_model(model, board, elf, weights_in=weights)
        emulator = Emulator(board, elf)
    return emulator, emulator.classify(quantized_image(emulator.model)).instructions


def _instructions_m4(model: bytes) -> int | None:
    """Instructions on the Cortex-M4 board; None where the model does not fit it."""
    try:
        return _on_board(model, get_board(M4_BOARD), "auto")[1]
    except FirmwareError:
        return None


def _emulated(model: bytes, streamed: bool, job: Job) -> dict[str, Any]:
    """Builds the firmware, runs one image, returns the fields of NetworkFigures it measures."""
    board = get_board(job.board)
    emulator, instructions = _on_board(model, board, job.weights)
    use, counts = emulator.memory_use(), emulator.operator_counts()
    return {
        "instructions": instructions,
        "sram_total_streamed_bytes": emulator.sram_total_bytes() if streamed else None,
        "sram_total_resident_bytes": None if streamed else emulator.sram_total_bytes(),
        "stack_bytes": emulator.stack_high_water_bytes(),
        "flash_bytes": use.flash_bytes,
        "external_flash_bytes": use.external_flash_bytes,
        "kernel_code_bytes": use.kernel_code_bytes,
        "weights": "qspi" if use.external_flash_bytes else "internal",
        "instructions_m4": _instructions_m4(model),
        "instructions_m55": _instructions_m55(model),
        "operators": tuple(
            OperatorFigures(count.name, count.instructions, count.stack_bytes) for count in counts
        ),
    }


def measure(
    job: Job,
    arch: ArchConfig,
    plain: bytes,
    step: Callable[[str], None],
) -> NetworkFigures:
    """All figures of one job.

    Args:
      plain: of :func:`plain_model`.
      step: told what is going on.
    """
    step("fuse and plan")
    fused = tflm_vit.fuse(
        plain, residual_bits=job.residual_bits, weight_bits=job.weight_bits
    ).model_bytes
    resident = plan_model(fused, streamed=False).model_bytes
    streamed = None if arch.stem else plan_model(fused, streamed=True).model_bytes
    step("build and emulate")
    return NetworkFigures(
        macs=arch.macs,
        ops=len(tflite.parse(fused).graph.operators),
        plain_ops=len(tflite.parse(plain).graph.operators),
        arena_streamed_bytes=read_plan(streamed).arena_bytes if streamed else None,
        arena_resident_bytes=read_plan(resident).arena_bytes,
        weight_bits=job.weight_bits,
        **_emulated(streamed or resident, streamed is not None, job),
    )


def as_json(figures: NetworkFigures) -> dict[str, Any]:
    """The figures as JSON; those that do not exist are left out."""
    fields = dataclasses.asdict(figures)
    return {name: value for name, value in fields.items() if value is not None}
