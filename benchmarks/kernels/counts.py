# SPDX-License-Identifier: Apache-2.0
"""Exact instruction counts of the kernels by themselves, on the emulated Cortex-M7 and M4.

``python -m benchmarks.kernels.counts --json=build/bench/kernels.json`` prints a table and exits 1
if a figure misses its target. Each result is compared with the NumPy reference first.
"""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Callable, Collection, Sequence
from importlib import metadata

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.kernels import emulator, workloads
from benchmarks.kernels.cycles import CycleModel
from benchmarks.kernels.emulator import KernelEmulator
from benchmarks.kernels.operators import run_operator
from boards.core import Core
from tflm_custom_ops.ops import Params, run_reference
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run

FLAGS = flags.FlagSet("counts", __doc__)
flags.json(FLAGS)


@dataclasses.dataclass(frozen=True)
class KernelFigures:
    """Counts of one kernel.

    Attributes:
      unit: what ``work`` counts, MAC or element.
      work: units in one run.
      instructions, instructions_m4: of one run, exact; None: not run on that core.
      target: most instructions per unit that the project allows, or None.
      cycles_estimate: of one run on a Cortex-M7 with tightly coupled memory, by
        benchmarks/kernels/cycles.py; an estimate.
      stack_bytes: used by the run.
    """

    name: str
    unit: str
    work: int
    instructions: int
    instructions_m4: int | None
    target: float | None
    cycles_estimate: int
    stack_bytes: int

    @property
    def per_unit(self) -> float:
        return self.instructions / self.work

    @property
    def missed(self) -> bool:
        return self.target is not None and self.per_unit > self.target


@dataclasses.dataclass(frozen=True)
class CallCounts:
    """One run on one core."""

    instructions: int
    cycles_estimate: int
    stack_bytes: int


@dataclasses.dataclass(frozen=True)
class CountedCore:
    """An emulated core with the kernels, and the cycle model of its ELF."""

    emulator: KernelEmulator
    cycles: CycleModel


@dataclasses.dataclass(frozen=True)
class Job:
    """One row of the table."""

    name: str
    unit: str
    work: int
    target: float | None
    run: Callable[[CountedCore], CallCounts]


def _machine(core: Core) -> CountedCore:
    elf = emulator.build(core)
    return CountedCore(KernelEmulator(elf, core), CycleModel(elf))


def _operator(op: Params, x: NDArray[np.generic]) -> Callable[[CountedCore], CallCounts]:
    expected = functools.cache(lambda: run_reference(op, x))

    def run(machine: CountedCore) -> CallCounts:
        done = run_operator(machine.emulator, op, x, paint=True, profile=True)
        if (done.y != expected()).any():
            raise AssertionError("the kernel differs from the reference")
        return CallCounts(
            done.call.instructions, machine.cycles.estimate(machine.emulator), done.call.stack_bytes
        )

    return run


def _scores(machine: CountedCore, rows: int) -> CallCounts:
    call = workloads.scores(machine.emulator, rows)
    return CallCounts(
        call.instructions, machine.cycles.estimate(machine.emulator), call.stack_bytes
    )


def _core(part: str) -> Callable[[CountedCore], CallCounts]:
    """The attention core, or the part of it in one function."""

    def run(machine: CountedCore) -> CallCounts:
        total, cycles, stack = 0, 0, 0
        for name, call in workloads.attention_core(machine.emulator):
            stack = max(stack, call.stack_bytes)
            profile = machine.emulator.profile()
            if part == "all":
                total += call.instructions
                cycles += machine.cycles.estimate(machine.emulator)
            elif name == "exponentials":
                total += profile.get(part, 0)
        return CallCounts(total, cycles, stack)

    return run


def _jobs() -> list[Job]:
    t = workloads.TOKENS
    # The targets are of the tile that the scheduler prefers.
    jobs = [
        Job(
            f"linear {rows}x{k}x{n}",
            "MAC",
            rows * k * n,
            target if rows == workloads.CORE_TILE else None,
            _operator(*workloads.linear(k, n, rows)),
        )
        for k, n, target in ((192, 192, 0.54), (64, 192, 0.65), (768, 192, 0.515))
        for rows in (workloads.CORE_TILE, 16)
    ]
    jobs += [
        Job(
            f"scores {rows}x{workloads.HEAD_DIM}x{t}",
            "MAC",
            rows * workloads.HEAD_DIM * t,
            target,
            functools.partial(_scores, rows=rows),
        )
        for rows, target in ((workloads.CORE_TILE, 0.60), (8, None))
    ]
    elements = t * t * workloads.HEADS
    core_macs = 2 * elements * workloads.HEAD_DIM
    jobs += [
        Job(f"attention core, {t} tokens, head_dim 64", "MAC", core_macs, 0.80, _core("all")),
        Job("softmax part of it", "element", elements, 22.0, _core("vit_dsp_softmax_row")),
    ]
    for bits in (8, 16):
        norm, x = workloads.layer_norm(bits)
        jobs.append(Job(f"LayerNorm, int{bits}", "element", x.size, 18.0, _operator(norm, x)))
    gelu, x = workloads.gelu()
    jobs.append(Job("GELU table", "element", x.size, 6.0, _operator(gelu, x)))
    for bits in (8, 16):
        attention, x = workloads.attention(bits, workloads.CORE_TILE)
        macs = 4 * t * workloads.EMBED_DIM**2 + core_macs
        jobs.append(
            Job(f"attention block, int{bits} stream", "MAC", macs, None, _operator(attention, x))
        )
        mlp, x = workloads.mlp(bits, workloads.CORE_TILE)
        macs = 8 * t * workloads.EMBED_DIM**2
        jobs.append(Job(f"MLP block, int{bits} stream", "MAC", macs, None, _operator(mlp, x)))
    patch, x = workloads.patch_embed()
    jobs.append(
        Job(
            "patch embedding 240x240x3",
            "MAC",
            t * 768 * workloads.EMBED_DIM,
            None,
            _operator(patch, x),
        )
    )
    return jobs


def measure_kernels(names: Collection[str] = (), *, m4: bool = True) -> list[KernelFigures]:
    """Kernels on the Cortex-M7, and with `m4` their counts on the Cortex-M4.

    Args:
      names: of the table's rows; none: all.
    """
    jobs = [job for job in _jobs() if not names or job.name in names]
    if len(jobs) < len(names):
        raise ValueError(f"got {sorted(names)}, expected names of {[j.name for j in _jobs()]}")
    m7 = _machine(emulator.CORTEX_M7)
    other = _machine(emulator.CORTEX_M4) if m4 else None
    figures = []
    for job in tqdm(jobs, "kernels", leave=False, disable=None):
        a = job.run(m7)
        figures.append(
            KernelFigures(
                job.name,
                job.unit,
                job.work,
                a.instructions,
                None if other is None else job.run(other).instructions,
                job.target,
                a.cycles_estimate,
                a.stack_bytes,
            )
        )
    return figures


def table(figures: Sequence[KernelFigures]) -> str:
    """One line per kernel; cycles are an estimate."""
    lines = [
        f"{'kernel':<42}{'unit':>8}{'insns':>12}{'/unit':>8}{'target':>8}{'M4/M7':>7}"
        f"{'cycles est.':>13}{'/unit':>8}{'stack':>7}"
    ]
    for f in figures:
        cycles = f"{f.cycles_estimate:,}" if f.cycles_estimate else "-"
        per_unit = f"{f.cycles_estimate / f.work:.3f}" if f.cycles_estimate else "-"
        target = "-" if f.target is None else f"{f.target:g}" + (" MISSED" if f.missed else "")
        m4 = "-" if f.instructions_m4 is None else f"{f.instructions_m4 / f.instructions:.3f}"
        lines.append(
            f"{f.name:<42}{f.unit:>8}{f.instructions:>12,}{f.per_unit:>8.3f}{target:>8}"
            f"{m4:>7}{cycles:>13}{per_unit:>8}{f.stack_bytes:>7}"
        )
    return "\n".join(lines)


def _body() -> None:
    expect_writable(FLAGS.json)
    figures = measure_kernels()
    print(table(figures))
    if FLAGS.json:
        report = {
            "command": "python -m benchmarks.kernels.counts",
            "seed": workloads.SEED,
            "versions": {
                "python": platform.python_version(),
                "unicorn": metadata.version("unicorn"),
                "numpy": metadata.version("numpy"),
                "arm-none-eabi-gcc": emulator.compiler_version(),
            },
            "kernels": {f.name: dataclasses.asdict(f) for f in figures},
        }
        write_json(FLAGS.json, report)
        print(f"wrote {FLAGS.json}")
    if missed := [f.name for f in figures if f.missed]:
        raise ValueError(f"over the target: {', '.join(missed)}")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
