# SPDX-License-Identifier: Apache-2.0
"""Runs networks as people bring them, with random weights, and says how near the fused file is.

    python -m benchmarks.foreign --draws=1 --count=200 --json=docs/results/foreign.json
    python -m benchmarks.foreign --networks=mobilevit,kwt --draws=20 --count=50
    python -m benchmarks.foreign --models=cases/kio_mobilevit.tflite --count=200

Keras, `TFLiteConverter.from_keras_model`, int8; then fuse, plan and the host library, against the
float evaluation of the plain file on the same random inputs. Each draw has other weights. Of an
output that hardly moves all inputs are one draw: there several draws say what one cannot.
"""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.accuracy_record import recorded
from benchmarks.foreign.fidelity import Fidelity, measure
from benchmarks.foreign.networks import ALL, int8_file, network
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.support import verdicts
from converter.tflite import parse
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_atomic
from tflm_vit.run import run

FLAGS = flags.FlagSet("foreign", __doc__)
_NETWORKS = flags.networks(FLAGS, list(ALL), "names in benchmarks/foreign/networks.py.")
_MODELS = FLAGS.files("models", "Plain .tflite files instead.", "the number of inputs is --count")
_DRAWS = FLAGS.integer("draws", 1, "Weights of each network, seeds from --seed on.", 1)
_COUNT = flags.count(FLAGS, "Random inputs for each draw.", 200, 1)
_SEED = flags.seed(FLAGS, "Of weights and inputs.")
_JSON = flags.json(FLAGS)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """One network with weights of one seed."""

    network: str
    seed: int
    ops_before: int
    ops_after: int
    attention: int
    left: dict[str, int]
    runs_in: tuple[str, ...]
    arena_bytes: int
    outputs: tuple[Fidelity, ...]


def drawn(name: str, seed: int, content: bytes) -> Drawn:
    """What becomes of a plain file."""
    result = fuse_model(content)
    planned = plan_model(result.model_bytes)
    report = result.report
    return Drawn(
        network=name,
        seed=seed,
        ops_before=report.ops_before,
        ops_after=report.ops_after,
        attention=sum("Attention" in op.custom_code for op in report.fused),
        left=dict(collections.Counter(left.name for left in report.leftovers)),
        runs_in=tuple(v.runtime for v in verdicts(parse(planned.model_bytes).graph) if v.runs),
        arena_bytes=planned.plan.arena_bytes,
        outputs=measure(content, _COUNT.value, seed),
    )


@dataclasses.dataclass(frozen=True)
class Gain:
    """Fused over plain of one output of a network, over draws of its weights.

    Attributes:
      interval_db: of the mean, 95 %, Student's t.
      worse: draws in which fused is over 1 dB worse.
    """

    network: str
    output: int
    draws: int
    mean_db: float
    interval_db: tuple[float, float]
    worse: int


def gains(results: Sequence[Drawn]) -> Iterator[Gain]:
    """Of networks with several draws."""
    for name in dict.fromkeys(r.network for r in results):
        of = [r.outputs for r in results if r.network == name]
        if len(of) < 2:
            continue
        for place in range(len(of[0])):
            each = np.array([outputs[place].gain_db for outputs in of])
            half = stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / len(each) ** 0.5
            mean = float(each.mean())
            ends = (round(mean - half, 2), round(mean + half, 2))
            yield Gain(name, place, len(of), round(mean, 2), ends, int(np.sum(each < -1.0)))


def _contents() -> Iterator[tuple[str, int, bytes]]:
    if _MODELS.value:
        for path in _MODELS.value:
            yield Path(path).stem, _SEED.value, Path(path).read_bytes()
        return
    for name in _NETWORKS.value:
        if name not in ALL:
            raise ValueError(f"--networks: got {name!r}, expected names of {', '.join(ALL)}")
        for seed in range(_SEED.value, _SEED.value + _DRAWS.value):
            yield name, seed, int8_file(network(name, seed), seed)


def _body() -> None:
    expect_writable(_JSON.value)
    results = []
    for name, seed, content in _contents():
        result = drawn(name, seed, content)
        results.append(result)
        dbs = "; ".join(
            f"plain {o.plain_db:.1f} dB, fused {o.gain_db:+.2f} ({o.interval_db[0]:+.2f} to "
            f"{o.interval_db[1]:+.2f}), moves {o.moves_steps} steps"
            for o in result.outputs
        )
        ops = f"{result.ops_before} -> {result.ops_after}"
        print(f"{name:<18}{seed:>3}{ops:>12}  {','.join(result.runs_in)}  {dbs}", flush=True)
    summary = list(gains(results))
    for gain in summary:
        low, high = gain.interval_db
        print(
            f"{gain.network} output {gain.output}, {gain.draws} draws: fused {gain.mean_db:+.2f} "
            f"dB ({low:+.2f} to {high:+.2f}), over 1 dB worse in {gain.worse}"
        )
    if _JSON.value:
        report = {
            **dataclasses.asdict(recorded("benchmarks.foreign")),
            "gains": [dataclasses.asdict(g) for g in summary],
            "results": [dataclasses.asdict(r) for r in results],
        }
        write_atomic(_JSON.value, (json.dumps(report, indent=1) + "\n").encode())


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
