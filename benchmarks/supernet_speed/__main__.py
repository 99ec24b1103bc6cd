# SPDX-License-Identifier: Apache-2.0
"""CPU seconds an image of a supernet's training step, beside AutoFormer's own code.

    python -m benchmarks.supernet_speed --torch_python=PYTHON --autoformer=FOLDER --out=FILE

PYTHON is an interpreter that has PyTorch, FOLDER the folder AutoFormer of a checkout of
github.com/microsoft/Cream. Both supernets are AutoFormer-T's but for the depth, at 96 pixels (36
tokens and a class token), float32, AdamW, gradients clipped, no dropout, on one thread. They take
turns, a few steps at a time, so that both see the machine as it is; a step is the same sub-network
for both. CPU seconds are the processes' own.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("supernet_speed", __doc__)
_PYTHON = FLAGS.string("torch_python", "", "Interpreter that has PyTorch; none: ours alone.")
_AUTOFORMER = FLAGS.string("autoformer", "", "Folder AutoFormer of a checkout of microsoft/Cream.")
_TURNS = FLAGS.integer("turns", 5, "Turns of each.", 1)
_TURN_STEPS = FLAGS.integer("turn_steps", 4, "Steps of a turn, for each kind of sub-network.", 1)
_RELATIVE = FLAGS.boolean("relative", False, "With relative keys and values.")
flags.seed(FLAGS, "Of the sub-networks.")
flags.out(FLAGS, "File of the record.", required=False)

BATCH = 64
WIDTHS, DEPTHS, HEADS, RATIOS = (192, 216, 240), (4, 5, 6), (3, 4), (3.5, 4.0)
KINDS = ("random", "smallest", "largest")
Network = dict[str, Any]  # as it travels to the other processes


def job(relative: bool) -> dict[str, Any]:
    """What both processes build."""
    return {
        "image_size": 96, "patch": 16, "classes": 10, "batch": BATCH, "relative": relative,
        "depth": max(DEPTHS), "heads": max(HEADS), "mlp_ratio": max(RATIOS),
        "widths": WIDTHS, "depths": DEPTHS, "head_choices": HEADS, "mlp_ratios": RATIOS,
    }  # fmt: skip


def draw(kind: str, rng: np.random.Generator) -> Network:
    """A sub-network; the smallest and the largest are the same each time."""

    def chosen(choices: Sequence[Any]) -> Any:
        place = {"smallest": 0, "largest": -1}.get(kind)
        return choices[int(rng.integers(len(choices))) if place is None else place]

    depth = chosen(DEPTHS)
    blocks = range(depth)
    return {
        "embed_dim": chosen(WIDTHS), "depth": depth, "heads": [chosen(HEADS) for _ in blocks],
        "mlp_ratio": [chosen(RATIOS) for _ in blocks],
    }  # fmt: skip


class Side:
    """A process that trains one of the supernets."""

    def __init__(self, command: Sequence[str], work: dict[str, Any]) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env={**os.environ, **threads, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
        self.versions: dict[str, str] = self.ask(work)

    def ask(self, message: Any) -> Any:
        """The answer to a line.

        Raises:
          ValueError: the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its end is told below
        line = self._process.stdout.readline()
        if not line:
            args = " ".join(map(str, self._process.args))  # type: ignore[arg-type]
            raise ValueError(f"{args}: ended; run it by hand to see why")
        return json.loads(line)

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@dataclasses.dataclass(frozen=True)
class Row:
    """A kind of sub-network: CPU milliseconds an image, the medians of the turns."""

    kind: str
    ours: float
    autoformer: float | None

    @property
    def ratio(self) -> float | None:
        return None if self.autoformer is None else self.ours / self.autoformer


def measure(
    sides: Sequence[Side], rounds: int, steps: int, seed: int
) -> dict[str, list[list[float]]]:
    """Milliseconds an image of each side and turn, by kind."""
    rng = np.random.default_rng(seed)
    for side in sides:  # compiles, and fills caches
        side.ask([draw(kind, np.random.default_rng(0)) for kind in KINDS])
    found: dict[str, list[list[float]]] = {kind: [[] for _ in sides] for kind in KINDS}
    for _ in tqdm(range(rounds), unit="turn"):
        for kind in KINDS:
            networks = [draw(kind, rng) for _ in range(steps)]
            for times, side in zip(found[kind], sides, strict=True):
                times.append(1e3 * side.ask(networks) / (steps * BATCH))
    return found


def _body() -> None:
    if bool(_PYTHON.value) != bool(_AUTOFORMER.value):
        raise ValueError("--torch_python and --autoformer belong together; give both or none")
    here = Path(__file__).parent
    commands = [[sys.executable, "-m", "benchmarks.supernet_speed.ours"]]
    if _PYTHON.value:
        commands.append([_PYTHON.value, str(here / "autoformer.py"), _AUTOFORMER.value])
    work = job(_RELATIVE.value)
    sides = [Side(command, work) for command in commands]
    try:
        found = measure(sides, _TURNS.value, _TURN_STEPS.value, FLAGS.seed)
    finally:
        for side in sides:
            side.end()
    rows = [
        Row(k, *(float(np.median(t)) for t in found[k]), *[None] * (2 - len(sides))) for k in KINDS
    ]
    for row in rows:
        beside = (
            "" if row.ratio is None else f", AutoFormer's {row.autoformer:.2f}: {row.ratio:.2f}"
        )
        print(f"{row.kind:<9} {row.ours:.2f} CPU ms an image{beside}")
    if FLAGS.out:
        write_json(
            FLAGS.out,
            {
                "command": typed_command("benchmarks.supernet_speed"),
                "seed": FLAGS.seed,
                "versions": {name: v for side in sides for name, v in side.versions.items()},
                "batch": BATCH,
                "rows": [{**dataclasses.asdict(row), "ratio": row.ratio} for row in rows],
                "turns": found,
            },
        )


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
