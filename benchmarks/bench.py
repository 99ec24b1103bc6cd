# SPDX-License-Identifier: Apache-2.0
"""`make bench`: instructions, memory and code size of the benchmark networks and kernels.

Writes `bench.json` and prints a table. All counts come from executing the firmware in the emulator
and are exact: two runs give the same numbers. TFLM's figures are quoted with their source.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from tqdm import tqdm

from benchmarks import networks
from benchmarks.kernels import counts
from keras_models.arch import ArchConfig
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("bench", __doc__)
_OUT = flags.out(FLAGS, "Folder for bench.json.", False, "build/bench")
_NETWORKS = flags.networks(FLAGS, list(dict.fromkeys(job.preset for job in networks.JOBS)))
_KERNELS = FLAGS.boolean("kernels", True, "Measure the kernels on their own too.")


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A published or recorded figure to compare with, and where it comes from."""

    preset: str
    runtime: str
    instructions: int
    arena_bytes: int
    source: str


BASELINES = (
    Baseline(
        "vit_t_240",
        "TFLM + CMSIS-NN",
        4_393_652_255,
        1_186_036,
        "TFLM 90b983c2 with its CMSIS-NN, -O2, Cortex-M7 in QEMU mps2-an500 -icount",
    ),
    Baseline(
        "vit_t_240",
        "TFLM reference kernels",
        12_279_839_165,
        1_183_700,
        "TFLM 90b983c2, -O2, Cortex-M7 in QEMU mps2-an500 -icount",
    ),
)


def _versions() -> dict[str, str]:
    from benchmarks.kernels.emulator import compiler_version

    packages = ("tensorflow", "keras", "numpy", "unicorn", "ortools")
    versions = {name: metadata.version(name) for name in packages}
    return {
        "python": platform.python_version(),
        "arm-none-eabi-gcc": compiler_version(),
        **versions,
    }


def _measure_networks() -> dict[str, dict[str, networks.NetworkFigures]]:
    jobs = [job for job in networks.JOBS if job.preset in _NETWORKS.value]
    results: dict[str, dict[str, networks.NetworkFigures]] = {}
    plain: dict[str, tuple[ArchConfig, bytes]] = {}
    with tqdm(jobs, unit="network", disable=None) as bar:
        for job in bar:

            def step(text: str, job: networks.Job = job) -> None:
                bar.set_postfix_str(f"{job.preset} {job.form}: {text}")

            if job.preset not in plain:
                step("quantize")
                plain[job.preset] = networks.plain_model(job.preset)
            figures = networks.measure(job, *plain[job.preset], step)
            results.setdefault(job.preset, {})[job.form] = figures
    return results


def _start(preset: str, form: str, core: str, f: networks.NetworkFigures, instructions: int) -> str:
    """The first columns of a row."""
    macs, residual = f.macs, form.partition("/")[0]
    return (
        f"{preset:<16}{residual:>7}{f.weight_bits:>8} {core:<11}{macs:>15,}{instructions:>16,}"
        f"{instructions / macs:>7.3f}"
    )


def _table(results: dict[str, dict[str, networks.NetworkFigures]]) -> str:
    head = (
        f"{'network':<16}{'resid.':>7}{'weights':>8} {'core':<11}{'MAC':>15}{'instructions':>16}"
        f"{'/MAC':>7}{'arena':>10}"
        f"{'resident':>10}{'SRAM':>10}{'flash':>12}{'kernels':>9}"
    )
    lines = [head]
    for preset, by_form in results.items():
        for form, f in by_form.items():
            flash = f.flash_bytes + f.external_flash_bytes
            streamed = f"{f.arena_streamed_bytes:,}" if f.arena_streamed_bytes else "-"
            sram = f.sram_total_streamed_bytes or f.sram_total_resident_bytes or 0
            lines.append(
                f"{_start(preset, form, 'Cortex-M7', f, f.instructions)}{streamed:>10}"
                f"{f.arena_resident_bytes:>10,}{sram:>10,}"
                f"{flash:>12,}{f.kernel_code_bytes:>9,}"
            )
            others = (("Cortex-M4", f.instructions_m4), ("Cortex-M55", f.instructions_m55))
            lines += [_start(preset, form, core, f, n) for core, n in others if n]
    for b in BASELINES:
        if b.preset in results:
            ratio = b.instructions / results[b.preset]["int8"].instructions
            lines.append(
                f"{b.preset}, {b.runtime}: {b.instructions:,} instructions ({ratio:.2f}x ours), "
                f"arena {b.arena_bytes:,} B ({b.source})"
            )
    return "\n".join(lines)


def _body() -> None:
    out = Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    known = {job.preset for job in networks.JOBS}
    if unknown := set(_NETWORKS.value) - known:
        raise ValueError(f"no network {sorted(unknown)}, expected some of {sorted(known)}")
    kernels = counts.measure_kernels() if _KERNELS.value else []
    if kernels:
        print(counts.table(kernels))
    results = _measure_networks()
    print(_table(results))
    report = {
        "command": typed_command("benchmarks.bench"),
        "seed": networks.SEED,
        "versions": _versions(),
        "networks": {
            preset: {form: networks.as_json(f) for form, f in by_form.items()}
            for preset, by_form in results.items()
        },
        "baselines": [dataclasses.asdict(b) for b in BASELINES],
        "kernels": {k.name: _kernel_json(k) for k in kernels},
    }
    write_json(out / "bench.json", report)
    print(f"wrote {out / 'bench.json'}")


def _kernel_json(figures: counts.KernelFigures) -> dict[str, object]:
    per_unit = f"instructions_per_{figures.unit.lower()}"
    return {per_unit: round(figures.per_unit, 4), **dataclasses.asdict(figures)}


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
