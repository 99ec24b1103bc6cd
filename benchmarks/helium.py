# SPDX-License-Identifier: Apache-2.0
"""Instructions on a Cortex-M55 with Helium, in QEMU, and that the runtimes agree there.

    python -m benchmarks.helium --json=docs/results/helium.json --cmsis_nn_dir=FOLDER

FOLDER is a clone of CMSIS-NN, whose matrix product is counted beside this project's layers.
Networks with random weights (counts depend on no value): logits in QEMU beside those of compiled C
on this machine and, for the small ones, of the reference, of TFLM and of an emulated Cortex-M7.
Where --networks names some alone, a record keeps what it has of layers and of the others.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kernels import cmsis_nn, emulator, qemu
from benchmarks.kernels.operators import run_operator
from benchmarks.kernels.workloads import linear
from benchmarks.networks import plain_model
from benchmarks.versions import versions_of
from boards import get_board
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.weight_bits.fused import round_file
from converter.weight_bits.pipeline import RoundingMethod
from converter.weight_bits.wanted import WeightBits
from firmware.emulator.qemu.emulator import QemuEmulator
from firmware.model import build_model
from keras_models.presets import PRESETS
from tests.converter.plan.vit_models import fused_model
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

BOARD = "mps3_an547"
SMALL = ("vit_digits", "vit_micro_32", "hybrid_32", "hybrid_32_wide")
NETWORKS = (*SMALL, "vit_t_240")
IN_4_BITS = ("hybrid_32", "hybrid_32_wide", "vit_t_240")  # counted with weights of 4 bits too
LAYERS = ((192, 192), (768, 192), (192, 768))
ROWS = 225

FLAGS = flags.FlagSet("helium", __doc__)
flags.networks(FLAGS, NETWORKS)
flags.seed(FLAGS, "Of weights and image.", 1)
flags.json(FLAGS)
FLAGS.string("cmsis_nn_dir", "", "A clone of CMSIS-NN; without it there is no comparison.")


_plain = functools.cache(lambda name: plain_model(name)[1])


def _fused(name: str, seed: int, bits: int) -> bytes:
    """Random weights; small networks as TensorFlow converts them, large ones as they are built."""
    if name not in SMALL:
        return fused_model(PRESETS[name], seed=seed, weight_bits=bits)
    plain = _plain(name)
    if bits == 4:
        plain = round_file(plain, WeightBits(4), method=RoundingMethod.NEAREST).model_bytes
    return fuse_model(plain).model_bytes


def network(name: str, seed: int, bits: int = 8) -> dict[str, Any]:
    """Counts of one network, and which runtimes gave the same logits."""
    model = plan_model(_fused(name, seed, bits)).model_bytes
    with tempfile.TemporaryDirectory(prefix="vit-helium-") as work:
        elf = Path(work) / "firmware.elf"
        use = build_model(model, get_board(BOARD), elf)
        machine = QemuEmulator(get_board(BOARD), elf)
        shape = machine.model.image_shape
        image = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
        inference = machine.classify(image)
        stack = machine.stack_high_water_bytes()
        machine.close()
    same = {}
    for other in ("host", "reference", "tflm", "emulated") if name in SMALL else ("host",):
        runtime = open_runtime(other, model)
        (logits,) = runtime.run(image.reshape(runtime.inputs[0].shape))
        same[other] = bool((logits.reshape(-1) == inference.logits).all())
    kinds: dict[str, int] = {}
    for row in inference.operators:
        kind = row.name.split()[1]
        kinds[kind] = kinds.get(kind, 0) + row.instructions
    return {
        "instructions": inference.instructions,
        "by_kind": kinds,
        "stack_bytes": stack,
        "arena_bytes": use.arena_bytes,
        "kernel_code_bytes": use.kernel_code_bytes,
        "flash_bytes": use.flash_bytes + use.external_flash_bytes,
        "equal": same,
    }


def layers(bits: int = 8) -> dict[str, float]:
    """Instructions per product of layers, all in, with weights of so many bits."""
    machine = qemu.QemuKernels(qemu.build(qemu.CORES["cortex-m55"]))
    found = {}
    for k, n in LAYERS:
        op, x = linear(k, n, ROWS, bits)
        count = run_operator(machine, op, x).call.instructions
        found[f"{ROWS}x{k}x{n}"] = round(count / (ROWS * k * n), 4)
    return found


def cmsis_nn_layers(folder: str) -> dict[str, Any]:
    """Instructions per product of CMSIS-NN's matrix product, and its revision."""
    product = cmsis_nn.matrix_product(folder)
    per_product = {
        f"{ROWS}x{k}x{n}": round(product.instructions(ROWS, k, n) / (ROWS * k * n), 4)
        for k, n in LAYERS
    }
    return {
        "function": cmsis_nn.FUNCTION,
        "revision": product.revision,
        "optimisation": cmsis_nn.OPTIMISATION,
        "instructions_per_product": per_product,
    }


def _new() -> dict[str, Any]:
    """A record without networks."""
    record: dict[str, Any] = {
        "command": typed_command("benchmarks.helium"),
        "seed": FLAGS.seed,
        "versions": versions_of("numpy"),
        "gcc": emulator.compiler_version(),
        "board": BOARD,
        "instructions_per_product": layers(),
        "instructions_per_product_4_bits": layers(4),
        "networks": {},
        "networks_4_bits": {},
    }
    if FLAGS.cmsis_nn_dir:
        record["cmsis_nn"] = cmsis_nn_layers(FLAGS.cmsis_nn_dir)
    return record


def _begun() -> dict[str, Any]:
    """A new record, or the one that some networks are to join."""
    path = Path(FLAGS.json) if FLAGS.json else None
    if path is None or not path.exists() or set(FLAGS.networks) >= set(NETWORKS):
        return _new()
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return known


def _body() -> None:
    if FLAGS.json:
        expect_writable(FLAGS.json)
    record = _begun()
    joins = record["command"] != typed_command("benchmarks.helium")
    for name in FLAGS.networks:
        for bits, key in ((8, "networks"), (4, "networks_4_bits")):
            if bits == 8 or name in IN_4_BITS:
                found = network(name, FLAGS.seed, bits)
                if joins:
                    found["command"] = typed_command("benchmarks.helium")
                record[key][name] = found
                count = f"{found['instructions']:,} instructions"
                print(f"{name}, {bits} bits: {count}, equal: {found['equal']}", flush=True)
    if FLAGS.json:
        write_json(FLAGS.json, record)
    every = [*record["networks"].items(), *record["networks_4_bits"].items()]
    unequal = [n for n, found in every if not all(found["equal"].values())]
    if unequal:
        raise ValueError(f"logits differ between runtimes: {', '.join(unequal)}")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
