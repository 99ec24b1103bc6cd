# SPDX-License-Identifier: Apache-2.0
"""The record as a file: sections, in each the parts, in each the networks by name.

    inputs        what each network is, and a digest of its plain file and of its inputs
    logits        by runtime: the int8 values, or a digest and the first of them
    arena         operators before and after fusing, planned bytes
    instructions  of the first image, by board

The last three say for each part how it was made, as they may be made at different revisions.
"""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.frozen.jobs import PRESET
from benchmarks.frozen.measure import EMULATED, Job, Outcome
from benchmarks.versions import versions_of
from tflm_vit.files import write_atomic
from tflm_vit.run import typed_command

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "results" / "frozen.json"
BENCH = ROOT / "docs" / "results" / "bench.json"

INPUTS, LOGITS, ARENA, INSTRUCTIONS = "inputs", "logits", "arena", "instructions"
SECTIONS = (LOGITS, ARENA, INSTRUCTIONS)
SEEDS = (
    "random_N is drawn from seed N, presets have random weights of seed 1; inputs are drawn from "
    "the CRC-32 of a network's name (benchmarks/frozen/plain_files.py)"
)

_NOT_MEASURED = ("benchmarks", "docs", "tests")

Values = dict[str, dict[str, Any]]  # by network
Outcomes = Mapping[str, Outcome]  # by network
Jobs = Mapping[str, Job]


def read(path: Path) -> dict[str, Any]:
    """The record.

    Raises:
      OSError: it cannot be read. ValueError: it is no record.
    """
    content = json.loads(path.read_text())
    if not isinstance(content, dict) or not {INPUTS, *SECTIONS} <= set(content):
        raise ValueError(f"{path}: expected a record of benchmarks.frozen; make it with --out")
    return content


def inputs_of(jobs: Jobs, outcomes: Outcomes) -> Values:
    """The `inputs` section of a part."""
    return {
        name: {
            **({"what": jobs[name].describe} if jobs[name].describe else {}),
            **({"fault": jobs[name].fault} if jobs[name].fault else {}),
            "plain": outcome.plain,
        }
        for name, outcome in outcomes.items()
    }


def section_of(section: str, part: str, jobs: Jobs, outcomes: Outcomes) -> Values:
    """What a section says of measured networks."""
    values = {
        name: _values(section, jobs[name], outcome)
        for name, outcome in outcomes.items()
        if section != INSTRUCTIONS or outcome.instructions is not None
    }
    if section == INSTRUCTIONS and part == PRESET:
        values |= _benched(jobs)
    return values


def _values(section: str, job: Job, outcome: Outcome) -> dict[str, Any]:
    if section == INSTRUCTIONS:
        return {job.board: outcome.instructions}
    if outcome.arena is None:
        return {"fuse": outcome.refusal}
    return outcome.logits if section == LOGITS else dataclasses.asdict(outcome.arena)


def _benched(jobs: Jobs) -> Values:
    """Instructions of networks that are too large to emulate here, from `make bench`'s record."""
    results = json.loads(BENCH.read_text())["networks"]
    values: Values = {}
    for name, job in jobs.items():
        if EMULATED not in job.runtimes:
            preset, bits = name.rsplit("_", 1)
            values[name] = {job.board: results[preset][bits]["instructions"]}
    return values


def _revision() -> str:
    """The commit of the measured code: the last one of more than records and their tests."""
    words = ("git", "log", "-1", "--format=%H", "--", ".", *(f":!{f}" for f in _NOT_MEASURED))
    git = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return git.stdout.strip() or "not a git checkout"


def _made() -> dict[str, Any]:
    """How a section is made: command, revision, versions."""
    from benchmarks.kernels.emulator import compiler_version

    packages = ("tensorflow", "keras", "numpy", "ai-edge-litert", "tflite-micro", "unicorn")
    return {
        "command": typed_command("benchmarks.frozen"),
        "revision": _revision(),
        "versions": {**versions_of(*packages), "arm-none-eabi-gcc": compiler_version()},
    }


def merged(
    old: dict[str, Any] | None,
    sections: tuple[str, ...],
    measured: Mapping[str, tuple[Jobs, Outcomes]],
) -> dict[str, Any]:
    """The old record with these sections of the measured parts in place of its own.

    Args:
      measured: jobs and outcomes by part.
    """
    record = old or {"seeds": SEEDS, **{name: {} for name in (INPUTS, *SECTIONS)}}
    made = _made()
    for part, (jobs, outcomes) in measured.items():
        if LOGITS in sections:
            record[INPUTS][part] = inputs_of(jobs, outcomes)
        for section in sections:
            values = section_of(section, part, jobs, outcomes)
            record[section][part] = {"made": made, "networks": values}
    return record


def write(path: Path, record: dict[str, Any]) -> None:
    """Writes the record, whole or not at all; each network is a line."""
    text = json.dumps(record, indent=2)
    lines = re.sub(r"\{[^{}]*\}", lambda found: re.sub(r"\n\s*", " ", found[0]), text)
    write_atomic(path, (lines + "\n").encode())
