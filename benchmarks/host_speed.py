# SPDX-License-Identifier: Apache-2.0
"""Time of the compiled host library for one image on one core.

    python -m benchmarks.host_speed --json=docs/results/host_speed.json

Processor time, which other programs on the machine disturb less than the clock on the
wall; the least and the median of several runs.
"""

from __future__ import annotations

import dataclasses
import platform
import statistics
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.networks import plain_model, synthetic_images
from converter.evaluate.evaluation import ends_of
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes.host import HostModel
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("host_speed", __doc__)
flags.networks(FLAGS, ["vit_t_240", "vit_micro_32"])
flags.runs(FLAGS, 20)
flags.json(FLAGS)


@dataclasses.dataclass(frozen=True)
class HostSpeed:
    """Milliseconds of processor time for one image of a preset, batch 1, one thread."""

    preset: str
    residual_bits: int
    least_ms: float
    median_ms: float
    runs: int


def measure(preset: str, residual_bits: int, runs: int) -> HostSpeed:
    """Builds the preset with random weights and times single images."""
    arch, plain = plain_model(preset)
    fused = fuse_model(plain, residual_bits=residual_bits).model_bytes
    model = plan_model(fused).model_bytes
    host = HostModel(model)
    images = synthetic_images(1, arch.image_size, arch.channels, 3)
    image = ends_of(model).quantize(images).astype(np.int8)
    host.run(image, threads=1)  # warm caches, first build
    times = []
    for _ in range(runs):
        start = time.process_time()
        host.run(image, threads=1)
        times.append(1e3 * (time.process_time() - start))
    least, median = round(min(times), 2), round(statistics.median(times), 2)
    return HostSpeed(preset, residual_bits, least, median, runs)


def _body() -> None:
    expect_writable(FLAGS.json)
    results = []
    for preset in FLAGS.networks:
        for bits in (8, 16):
            result = measure(preset, bits, FLAGS.runs)
            results.append(result)
            print(
                f"{preset:<16} int{bits:<3} {result.least_ms:8.2f} ms least, "
                f"{result.median_ms:8.2f} ms median of {result.runs}",
                flush=True,
            )
    if FLAGS.json:
        report = {
            "command": typed_command("benchmarks.host_speed"),
            "machine": platform.machine(),
            "results": [dataclasses.asdict(r) for r in results],
        }
        write_json(FLAGS.json, report)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
