# SPDX-License-Identifier: Apache-2.0
"""Mutates valid `.tflite` files and compares the reader's verdict with LiteRT's.

    python -m benchmarks.fuzz --cases=FOLDER --mutants=10000 --json=docs/results/fuzz_reader.json

Of what LiteRT refuses or crashes on, the reader should take nothing; the exit status is 1 if it
does, or if it raises anything but its own error.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fuzz.campaign import Counts, campaign, valid
from benchmarks.fuzz.corpus import pieces
from benchmarks.versions import versions_of
from converter.tflite import read_model
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("fuzz", __doc__)
flags.cases(FLAGS, "Folder of valid .tflite files.", required=True)
FLAGS.integer("mutants", 10000, "Number of them.", 1)
flags.seed(FLAGS, "Of the first mutant.")
flags.json(FLAGS)
_LISTED = 20


def _summary(counts: Counts, corpus: int) -> dict[str, object]:
    return {
        "command": typed_command("benchmarks.fuzz"),
        "seed": FLAGS.seed,
        "versions": versions_of("ai-edge-litert", "flatbuffers", "numpy"),
        "corpus": corpus,
        "mutants": sum(counts.mutants.values()),
        "by_change": dict(sorted(counts.mutants.items())),
        "litert": dict(sorted(counts.litert.items())),
        "litert_refuses_reader_refuses": counts.refused,
        "litert_refuses_reader_takes": len(counts.passed),
        "taken_on_purpose": dict(counts.known),
        "litert_runs_reader_refuses": len(counts.stricter),
        "tracebacks": len(counts.tracebacks),
        "slowest_ms": round(1e3 * counts.slowest_s, 1),
        "largest_mb": counts.largest_bytes >> 20,
        "taken": [dataclasses.asdict(p) for p in counts.passed[:_LISTED]],
    }


def _body() -> None:
    expect_writable(FLAGS.json)
    files = sorted(Path(FLAGS.cases).glob("*.tflite"))
    if not files:
        raise ValueError(f"{FLAGS.cases}: got no .tflite files, expected some to mutate")
    corpus = valid(pieces(read_model(path) for path in files))
    counts = campaign(corpus, range(FLAGS.seed, FLAGS.seed + FLAGS.mutants))
    summary = _summary(counts, len(corpus))
    for name, value in summary.items():
        if not isinstance(value, (dict, list)):
            print(f"{name:<30} {value}")
    for passed in counts.passed[:_LISTED]:
        print(f"taken: seed {passed.seed} {passed.change}: {passed.litert}")
    for seed, error in counts.tracebacks[:_LISTED]:
        print(f"traceback: seed {seed}: {error}")
    if FLAGS.json:
        write_json(FLAGS.json, summary)
    if counts.passed or counts.tracebacks:
        sys.exit(1)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
