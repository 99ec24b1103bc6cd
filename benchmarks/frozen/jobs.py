# SPDX-License-Identifier: Apache-2.0
"""What is measured: four parts, each a list of networks."""

from __future__ import annotations

import functools
from pathlib import Path

from benchmarks import networks
from benchmarks.frozen.faults import FAULTS
from benchmarks.frozen.measure import HOST, REFERENCE, RUNTIMES, TFLM, Job
from benchmarks.frozen.plain_files import plain_file
from benchmarks.frozen.random_archs import random_form
from keras_models.presets import PRESETS

RANDOM, PRESET, FAULT, CASES = "random", "presets", "faults", "cases"
PARTS = (RANDOM, PRESET, FAULT, CASES)

RANDOM_COUNT = 200
EMULATED_EVERY = 5
BOARDS = ("stm32f746g_disco", "openmv_cam_m4", "nucleo_h743zi2")
_DIRECT = (REFERENCE, HOST, TFLM)
# Emulating one of the others takes minutes; their counts are those of docs/results/bench.json.
_EMULATED_PRESETS = ("vit_micro_32", "vit_digits")
# By the file's name. A folder of foreign models may hold more that are wrong; this one is known.
_CASE_FAULTS = {
    "min_gelu_reshape": "VitGelu takes the RESHAPE before it along; TFLM refuses the fused file",
}


def random_jobs(count: int = RANDOM_COUNT) -> list[Job]:
    """Random networks by seed; every fifth one is emulated, on one board after another."""
    jobs = []
    for seed in range(count):
        form = random_form(seed)
        emulated, turn = seed % EMULATED_EVERY == 0, seed // EMULATED_EVERY
        jobs.append(
            Job(
                form.arch.name,
                form.describe(),
                functools.partial(plain_file, form),
                form.residual_bits,
                form.streamed,
                RUNTIMES if emulated else _DIRECT,
                BOARDS[turn % len(BOARDS)],
            )
        )
    return jobs


@functools.cache
def _converted(preset: str) -> bytes:
    return networks.plain_model(preset)[1]


def preset_jobs() -> list[Job]:
    """The benchmark networks and the test presets, as Keras and the TFLite converter make them."""
    # A network of stages is not drawn here: its weights are the trained ones, made again at times.
    benches = [(job.preset, job.residual_bits) for job in networks.JOBS if job.preset in PRESETS]
    tests = [(name, bits) for name in PRESETS if name.startswith("test_") for bits in (8, 16)]
    jobs = []
    for preset, bits in (*benches, *tests):
        arch = PRESETS[preset]
        emulated = preset in _EMULATED_PRESETS or preset.startswith("test_")
        jobs.append(
            Job(
                f"{preset}_int{bits}",
                f"preset {preset}, random weights of seed {networks.SEED}, converted by TensorFlow",
                functools.partial(_converted, preset),
                bits,
                not arch.stem,
                RUNTIMES if emulated else _DIRECT,
                images=2 if emulated else 1,
            )
        )
    return jobs


def fault_jobs() -> list[Job]:
    """What is known to come out wrong."""
    return [Job(f.name, "", f.plain, fault=f.what) for f in FAULTS]


def case_jobs(folder: str) -> list[Job]:
    """The `.tflite` files of a folder of the user's.

    Raises:
      ValueError: it has none.
    """
    paths = sorted(Path(folder).glob("*.tflite"))
    if not paths:
        raise ValueError(f"--cases={folder}: no .tflite file there, expected a folder of them")
    return [
        Job(path.stem, "", path.read_bytes, fault=_CASE_FAULTS.get(path.stem, "")) for path in paths
    ]


def jobs_of(part: str, cases: str) -> list[Job]:
    """The networks of a part; those of `cases` need a folder."""
    if part == CASES:
        return case_jobs(cases)
    return {RANDOM: random_jobs, PRESET: preset_jobs, FAULT: fault_jobs}[part]()
