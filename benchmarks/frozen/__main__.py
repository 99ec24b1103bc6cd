# SPDX-License-Identifier: Apache-2.0
"""Records what every runtime computes today, or compares with the record.

    python -m benchmarks.frozen --out=docs/results/frozen.json [--cases=FOLDER]
    python -m benchmarks.frozen --compare [--cases=FOLDER] [--parts=random,faults]
    python -m benchmarks.frozen --out=docs/results/frozen.json --sections=instructions

With --out on an existing record only the named parts and sections are replaced. Sections other
than logits are only replaced if the logits are still those of the record. The exit status of
--compare is 1 where anything differs that is not a known fault.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.frozen import compare, record
from benchmarks.frozen.jobs import CASES, FAULT, PARTS, PRESET, RANDOM, jobs_of
from benchmarks.frozen.measure import EMULATED, RUNTIMES, Outcome, measure
from tflm_vit import flags
from tflm_vit.files import expect_writable
from tflm_vit.run import run

FLAGS = flags.FlagSet("frozen", __doc__)
_OUT = flags.out(FLAGS, "The record to write, or to replace parts of.", required=False)
_COMPARE = FLAGS.boolean("compare", False, "Compare with --record.")
_RECORD = FLAGS.string("record", str(record.RECORD), "The record that --compare compares with.")
_PARTS = FLAGS.words("parts", [], f"Some of {', '.join(PARTS)}; default: all that can be.")
_SECTIONS = FLAGS.words("sections", record.SECTIONS, f"Some of {', '.join(record.SECTIONS)}.")
_CASES = flags.cases(FLAGS, "Folder of foreign .tflite files, for the part `cases`.")

Measured = dict[str, tuple[record.Jobs, dict[str, Outcome]]]


def _chosen(flag: str, values: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"--{flag}: got {', '.join(unknown)}, expected some of {', '.join(known)}")
    return tuple(name for name in known if name in values)


def _parts() -> tuple[str, ...]:
    default = [RANDOM, PRESET, FAULT, *([CASES] if _CASES.value else [])]
    parts = _chosen("parts", _PARTS.value or default, PARTS)
    if (CASES in parts) != bool(_CASES.value):
        raise ValueError("the part `cases` and --cases=FOLDER belong together; give both or none")
    return parts


def _runtimes(sections: Sequence[str]) -> tuple[str, ...]:
    """The runtimes that these sections need."""
    if record.LOGITS in sections:
        return RUNTIMES
    return (EMULATED,) if record.INSTRUCTIONS in sections else ()


def _measure(parts: Sequence[str], sections: Sequence[str]) -> Measured:
    measured: Measured = {}
    for part in parts:
        jobs = {job.name: job for job in jobs_of(part, _CASES.value)}
        outcomes = {}
        for name, job in (bar := tqdm(jobs.items(), desc=part, unit="network", disable=None)):
            bar.set_postfix_str(name)
            outcomes[name] = measure(job, _runtimes(sections))
        measured[part] = (jobs, outcomes)
    return measured


def _refuse_refusals(measured: Measured) -> None:
    """A network of our own that does not run everywhere is not worth recording."""
    for part in set(measured) & {RANDOM, PRESET}:
        for name, outcome in measured[part][1].items():
            for where, message in outcome.messages.items():
                raise ValueError(f"{name}: {where or 'fuse'}: {message}; nothing was recorded")


def _expect_same_logits(old: dict[str, Any], measured: Measured) -> None:
    for part, (jobs, outcomes) in measured.items():
        for d in compare.compare(old, part, jobs, outcomes, (record.LOGITS,)):
            if d.kind is compare.DifferenceKind.CHANGED:
                raise ValueError(f"{d}; record the logits too, or find out why they changed")


def _write(sections: tuple[str, ...], parts: Sequence[str]) -> None:
    expect_writable(_OUT.value)
    path = Path(_OUT.value)
    old = record.read(path) if path.exists() else None
    if old is None and set(sections) != set(record.SECTIONS):
        raise ValueError(f"--sections: {path} does not exist yet, so that all are needed")
    measured = _measure(parts, sections)
    _refuse_refusals(measured)
    if old is not None and record.LOGITS not in sections:
        _expect_same_logits(old, measured)
    record.write(path, record.merged(old, sections, measured))
    for part, (_, outcomes) in measured.items():
        print(f"{part}: {len(outcomes)} networks")
    print(f"wrote {path}: {', '.join(sections)}")


def _check(sections: tuple[str, ...], parts: Sequence[str]) -> None:
    old = record.read(Path(_RECORD.value))
    differences: list[compare.Difference] = []
    absent: list[str] = []
    for part, (jobs, outcomes) in _measure(parts, sections).items():
        differences += compare.compare(old, part, jobs, outcomes, sections)
        absent += compare.missing(old, part, outcomes)
    for difference in differences:
        print(difference)
    if absent:
        print(f"in the record, but not measured: {', '.join(absent)}")
    print(compare.verdict(differences))
    if absent or any(d.kind is compare.DifferenceKind.CHANGED for d in differences):
        sys.exit("frozen: not as recorded; see above")


def _body() -> None:
    if bool(_OUT.value) == _COMPARE.value:
        raise ValueError("give either --out=FILE (record) or --compare (compare)")
    sections = _chosen("sections", _SECTIONS.value, record.SECTIONS)
    if not sections:
        raise ValueError(f"--sections: got none, expected some of {', '.join(record.SECTIONS)}")
    (_write if _OUT.value else _check)(sections, _parts())


def main() -> None:
    run(FLAGS, _body)


if __name__ == "__main__":
    main()
