# SPDX-License-Identifier: Apache-2.0
"""Exact instruction counts of the stem's convolution, and the estimate (builtins/conv_work.py).

    python -m benchmarks.conv_instructions --samples=3 --out=docs/results/conv_instructions.json

Runs `vit_conv_2d` on an emulated Cortex-M7 for convolutions as stems have them, with the scratch of
a roomy and of a full arena, and shows how far the estimate is from every count. With
--samples=N it also compares whole networks, vit_micro_32 and N random ones of mcu_32 with a stem,
with the firmware on the emulated board.
"""

from __future__ import annotations

import dataclasses
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks import networks
from benchmarks.kernels import emulator
from benchmarks.kernels.convolutions import run_convolution, sources
from benchmarks.kernels.emulator import KernelEmulator
from boards import get_board
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.quantize.ptq import quantize
from firmware.emulator.emulator import Emulator
from firmware.model import build_model
from keras_models.arch import ArchConfig
from keras_models.presets import PRESETS
from keras_models.vit import build_vit, random_weights
from nas.cost.model import CostModel
from nas.cost.targets import Target
from nas.space.describe import describe
from nas.space.presets import SPACES
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins.conv_work import StemConvolution
from tflm_custom_ops.builtins.schedule import STACK_BYTES
from tflm_custom_ops.ops.layouts import WeightLayout
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run

FLAGS = flags.FlagSet("conv_instructions", __doc__)
flags.out(FLAGS, "File of the record.", required=False)
flags.samples(FLAGS, 0, "Random networks to compare as well.", 0)

SEED = 1


def convolutions() -> list[tuple[StemConvolution, int]]:
    """Layers of the stems of the presets and between, sides small enough to be quick; each with
    scratches of so many bytes; with weights of 4 bits as well."""
    layers = [
        (StemConvolution(*sizes), scratch)
        for sizes in (
            (16, 3, 3, 1, 24), (16, 24, 3, 2, 48), (32, 3, 3, 2, 16), (16, 16, 3, 2, 32),
            (16, 3, 3, 1, 16), (16, 16, 3, 1, 32), (16, 32, 3, 2, 64), (14, 3, 5, 2, 12),
            (12, 8, 3, 1, 8), (12, 32, 1, 1, 24), (8, 64, 3, 1, 48), (16, 1, 3, 1, 8),
        )
        for scratch in (1 << 14, 4096, 2048, STACK_BYTES)
    ]  # fmt: skip
    small = [(dataclasses.replace(c, layout=WeightLayout.QUADS4), s) for c, s in layers[::3]]
    return layers + small


def machine() -> KernelEmulator:
    """An emulated Cortex-M7 with the kernels and the convolution."""
    return KernelEmulator(emulator.build(sources=sources()))


def convolution_of(conv: StemConvolution) -> p.Conv2D:
    """With random weights."""
    rng = np.random.default_rng(SEED)
    n, out, pad = conv.outputs, conv.out_side, conv.padding
    weights = np.clip(np.rint(rng.normal(0, 40, (n, conv.features))), -127, 127).astype(np.int16)
    if conv.layout is WeightLayout.QUADS4:
        weights = np.sign(weights) * (np.abs(weights) >> 4)
    window = p.Window(
        *(conv.side, conv.side, conv.inputs, out, out, n, conv.kernel, conv.kernel),
        *(conv.stride, conv.stride, 1, 1, pad, pad),
    )
    factors = np.full(n, 1 << 30, np.int32), np.full(n, -8, np.int32)
    return p.Conv2D(window, -4, 3, -128, 127, weights, np.zeros(n, np.int32), *factors)


def count(core: KernelEmulator, conv: StemConvolution, scratch_bytes: int) -> int:
    """Exact instructions of one run with so much scratch."""
    op, rng = convolution_of(conv), np.random.default_rng(SEED)
    x = rng.integers(-128, 128, conv.side**2 * conv.inputs).astype(np.int8)
    return run_convolution(core, op, x, max(STACK_BYTES, scratch_bytes)).call.instructions


@dataclasses.dataclass(frozen=True)
class NetworkRow:
    """A network on the emulated board, and its estimate by `nas.cost.model`.

    Attributes:
      instructions, estimate: of one inference.
      stem_instructions, stem_estimate: of its convolutions.
    """

    name: str
    instructions: int
    estimate: int
    error: float
    stem_instructions: int
    stem_estimate: int
    stem_error: float


def network_row(name: str, arch: ArchConfig) -> NetworkRow:
    """Converts a network with random weights, runs its firmware, and compares."""
    size, channels = arch.image_size, arch.channels
    images = networks.synthetic_images(networks.CALIBRATION_IMAGES, size, channels, SEED)
    plain = quantize(random_weights(build_vit(arch), SEED), arch, images)
    model = plan_model(fuse_model(plain, residual_bits=8).model_bytes, streamed=False).model_bytes
    with tempfile.TemporaryDirectory() as work:
        elf = Path(work) / "firmware.elf"
        board = get_board("stm32f746g_disco")
        build_model(model, board, elf)
        board_emulator = Emulator(board, elf)
    exact = board_emulator.classify(
        np.clip(np.rint(images[0] * 127), -128, 127).astype(np.int8)
    ).instructions
    stem = sum(
        c.instructions for c in board_emulator.operator_counts() if "CONV_2D" in c.name
    )  # fmt: skip
    cost = CostModel(Target(), streamed=False)
    found = cost.cost(arch)
    parts = [op.best(found.arena_bytes) for op in cost.operators(arch) if op.convolution]
    of_stem = sum(part.instructions for part in parts if part)
    return NetworkRow(
        name, exact, round(found.instructions), found.instructions / exact - 1.0, stem,
        round(of_stem), of_stem / stem - 1.0,
    )  # fmt: skip


def network_rows(count: int) -> list[NetworkRow]:
    """vit_micro_32 and random networks of mcu_32 with a stem."""
    space, rng = SPACES["mcu_32"], np.random.default_rng(SEED)
    named = {"vit_micro_32": PRESETS["vit_micro_32"]}
    while len(named) <= count:
        config = space.sample(rng)
        if config.patch.stem:
            named[describe(space, config)] = space.arch(config)
    return [network_row(name, arch) for name, arch in tqdm(named.items(), unit="network")]


def _body() -> None:
    core, rows = machine(), []
    for conv, scratch in tqdm(convolutions(), unit="convolution"):
        exact, estimate = count(core, conv, scratch), conv.work(scratch).instructions
        rows.append(
            {
                **dataclasses.asdict(conv),
                "scratch_bytes": scratch,
                "macs": conv.macs,
                "instructions": exact,
                "estimate": round(estimate),
                "error": estimate / exact - 1.0,
            }
        )
    errors = np.array([row["error"] for row in rows])
    print(f"{'side':>5}{'in':>4}{'k':>3}{'s':>3}{'out':>5}{'scratch':>9}{'exact':>12}{'error':>9}")
    for row in rows:
        print(
            f"{row['side']:>5}{row['inputs']:>4}{row['kernel']:>3}{row['stride']:>3}"
            f"{row['outputs']:>5}{row['scratch_bytes']:>9}{row['instructions']:>12,}"
            f"{100 * row['error']:>8.2f}%"
        )
    largest, mean = np.abs(errors).max(), np.abs(errors).mean()
    print(f"largest error {100 * largest:.2f} %, mean {100 * mean:.2f} %")
    whole = network_rows(FLAGS.samples) if FLAGS.samples else []
    for each in whole:
        print(
            f"{each.name}: {each.instructions:,} instructions, estimate {100 * each.error:+.2f} %, "
            f"of its stem {100 * each.stem_error:+.2f} %"
        )
    if FLAGS.out:
        versions = {"python": platform.python_version(), "compiler": emulator.compiler_version()}
        write_json(
            FLAGS.out,
            {
                "command": "python -m benchmarks.conv_instructions",
                "seed": SEED,
                "versions": versions,
                "largest_error": float(largest),
                "mean_error": float(mean),
                "convolutions": rows,
                "networks": [dataclasses.asdict(each) for each in whole],
            },
        )


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
