# SPDX-License-Identifier: Apache-2.0
"""Kills commands at named moments and at random times, and runs them again.

    python -m benchmarks.kills --json=docs/results/kills.json [--only=train,export]

Tiny networks: a run takes seconds. A kill takes the process and its compilers, without a chance to
clean up. After it the command runs again, with --resume where it has that; its result is compared
with that of a run without a kill, to the bit, and with what had been finished. The exit status is 1
if anything is wrong, lost or refused.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.versions import versions_of
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command
from tflm_vit.stderr import captured_stderr

FLAGS = flags.FlagSet("kills", __doc__)
flags.only(FLAGS, "Commands, by the names of the cases; default: all.")
FLAGS.integer("named", 12, "Kills of a command at named moments, at most.", 0)
FLAGS.integer("at_random", 6, "Kills of a command at random times.", 0)
flags.seed(FLAGS, "Of the random times.")
flags.json(FLAGS)


def _of_case(campaign: Any) -> dict[str, Any]:
    """Runs one case; returns its record."""
    started, name = time.monotonic(), campaign.case.name
    campaign.uninterrupted()
    print(f"{name}: {len(campaign.moments)} moments, {campaign.seconds:.1f} s a run", flush=True)
    found = []
    for outcome in campaign.outcomes(campaign.kills(FLAGS.named, FLAGS.at_random, FLAGS.seed)):
        found.append(outcome)
        if not outcome.right:
            why = outcome.refused or f"wrong {outcome.wrong[:4]}, lost {outcome.lost[:4]}"
            print(f"  {outcome.where}: {why}", flush=True)
    record = {
        "command": campaign.case.module,
        "kills": sum(o.kills for o in found),
        "wrong": sum(bool(o.wrong) for o in found),
        "lost": sum(bool(o.lost) for o in found),
        "refused": sum(bool(o.refused) for o in found),
        "where": dict(sorted(Counter(o.where for o in found).items())),
        "seconds": round(time.monotonic() - started),
    }
    counts = ", ".join(f"{record[k]} {k}" for k in ("kills", "wrong", "lost", "refused"))
    print(f"{name}: {counts}, {record['seconds']} s", flush=True)
    return record


def _record(cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    total = {k: sum(c[k] for c in cases.values()) for k in ("kills", "wrong", "lost", "refused")}
    return {
        "command": typed_command("benchmarks.kills"),
        "seed": FLAGS.seed,
        "versions": versions_of("tensorflow", "keras", "optuna", "numpy"),
        **total,
        "cases": cases,
    }


def _body() -> None:
    expect_writable(FLAGS.json)
    with captured_stderr():  # here, once, for all commands
        import tensorflow

        # Sums in another order are other numbers: one thread, so that runs can be compared.
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)

        from benchmarks.kills.campaign import Campaign
        from benchmarks.kills.cases import CASES, needed_for
    found = {}
    with tempfile.TemporaryDirectory(prefix="vit-kills-") as folder:
        base, cache = Path(folder) / "base", Path(folder) / "cache"
        base.mkdir()
        wanted = FLAGS.only or [case.name for case in CASES]
        for case in needed_for(wanted):
            work = Path(folder) / case.name
            work.mkdir()
            campaign = Campaign(case, base, work, cache)
            if case.name in wanted:
                found[case.name] = _of_case(campaign)
            else:
                campaign.uninterrupted()
    record = _record(found)
    print(", ".join(f"{record[k]} {k}" for k in ("kills", "wrong", "lost", "refused")))
    if FLAGS.json:
        write_json(FLAGS.json, record)
    if record["wrong"] or record["lost"] or record["refused"]:
        sys.exit(1)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
