# SPDX-License-Identifier: Apache-2.0
"""Measured networks against the record: what differs, by how much, and what that means."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.frozen.measure import EMULATED, REFUSED, Outcome
from benchmarks.frozen.record import (
    ARENA,
    INPUTS,
    INSTRUCTIONS,
    LOGITS,
    SECTIONS,
    Jobs,
    Outcomes,
    section_of,
)


class DifferenceKind(enum.Enum):
    """What a difference means."""

    CHANGED = "differs"
    FAULT = "differs, a known fault that may"
    GAINED = "runs now"


@dataclasses.dataclass(frozen=True)
class Difference:
    """A value that is not the recorded one."""

    section: str
    part: str
    network: str
    kind: DifferenceKind
    text: str

    def __str__(self) -> str:
        return f"{self.section}: {self.network} {self.kind.value}: {self.text}"


def _int8(text: str) -> np.ndarray[Any, Any] | None:
    """The values, or the first of them, that a `logits_text` holds."""
    words = text.split()
    if text.startswith(REFUSED) or (words[0] == "sha256" and len(words) < 3):
        return None
    return np.frombuffer(bytes.fromhex(words[-1]), np.int8).astype(int)


def _logits_difference(old: str, new: str) -> str:
    a, b = _int8(old), _int8(new)
    if a is None or b is None or a.shape != b.shape:
        return f"{old[:60]} -> {new[:60]}"
    count, worst = int((a != b).sum()), int(np.abs(a - b).max())
    which = "of the first" if old.startswith("sha256") else "of"
    return f"{count} {which} {a.size} values, by up to {worst}"


def _difference(section: str, key: str, old: Any, new: Any) -> str:
    if section == LOGITS:
        return f"{key}: {_logits_difference(str(old), str(new))}"
    text = f"{key}: {old} -> {new}"
    if isinstance(old, int) and isinstance(new, int) and not isinstance(old, bool) and old:
        text += f" ({100 * (new - old) / old:+.3f} %)"
    return text


def _kind(old: Any, fault: bool) -> DifferenceKind:
    if fault:
        return DifferenceKind.FAULT
    return DifferenceKind.GAINED if str(old).startswith(REFUSED) else DifferenceKind.CHANGED


def _both_refuse(old: Any, new: Any) -> bool:
    """Whatever the error is called."""
    return str(old).startswith(REFUSED) and str(new).startswith(REFUSED)


def _of_network(
    section: str, old: dict[str, Any], new: dict[str, Any], fault: bool, message: dict[str, str]
) -> list[tuple[DifferenceKind, str]]:
    found = []
    for key, value in new.items():
        if key in old and old[key] != value and not _both_refuse(old[key], value):
            text = _difference(section, key, old[key], value)
            reason = message.get(key, "")
            found.append((_kind(old[key], fault), f"{text}: {reason}" if reason else text))
    if set(old) != set(new) and ("fuse" in old or "fuse" in new):
        kind = _kind(old.get("fuse", ""), fault)
        reason = message.get("", "")
        found.append((kind, f"{old.get('fuse', 'fused')} -> {new.get('fuse', 'fused')} {reason}"))
    return found


def compare(
    record: dict[str, Any],
    part: str,
    jobs: Jobs,
    outcomes: Outcomes,
    sections: Sequence[str] = SECTIONS,
) -> list[Difference]:
    """What of the measured networks is not as recorded.

    Only what was measured is compared: a runtime that was left out is not missed.
    """
    found = []
    for section in sections:
        old = record[section].get(part, {}).get("networks", {})
        new = section_of(section, part, jobs, outcomes)
        for name in new:
            if name not in old:
                kind = (
                    DifferenceKind.GAINED
                    if _was_refused(record, part, name)
                    else DifferenceKind.CHANGED
                )
                found.append(Difference(section, part, name, kind, f"{new[name]}, not recorded"))
                continue
            outcome = outcomes.get(name)
            messages = outcome.messages if outcome else {}
            origin = _origin(record, part, name, outcome) if section == LOGITS and outcome else ""
            fault = bool(jobs[name].fault)
            for kind, text in _of_network(section, old[name], new[name], fault, messages):
                found.append(Difference(section, part, name, kind, text + origin))
        for name in sorted(set(old) - set(new)):
            if reason := _why_lost(outcomes.get(name)):
                found.append(Difference(section, part, name, DifferenceKind.CHANGED, reason))
    return found


def _was_refused(record: dict[str, Any], part: str, name: str) -> bool:
    """Whether a network that has no recorded count could not be emulated then."""
    logits = record[LOGITS].get(part, {}).get("networks", {}).get(name, {})
    return "fuse" in logits or str(logits.get(EMULATED, "")).startswith(REFUSED)


def _why_lost(outcome: Outcome | None) -> str:
    """Why a network that was emulated once has no count; empty if it was left out on purpose."""
    if outcome is None or (not outcome.refusal and EMULATED not in outcome.logits):
        return ""
    return f"has no count: {outcome.messages.get(EMULATED) or outcome.refusal}"


def _origin(record: dict[str, Any], part: str, name: str, outcome: Outcome) -> str:
    """Says so if the plain file is another one already."""
    recorded = record[INPUTS].get(part, {}).get(name, {}).get("plain")
    if recorded == outcome.plain:
        return ""
    return " (its plain file or input is not the recorded one: look there first)"


def missing(record: dict[str, Any], part: str, outcomes: Outcomes) -> list[str]:
    """Recorded networks of a part that were not measured."""
    recorded = record[LOGITS].get(part, {}).get("networks", {})
    return sorted(set(recorded) - set(outcomes))


def verdict(differences: Sequence[Difference]) -> str:
    """One paragraph: which sections still hold, and what to do about those that do not."""
    failing = [d for d in differences if d.kind is DifferenceKind.CHANGED]
    count = {s: len({d.network for d in failing if d.section == s}) for s in SECTIONS}
    lines = [
        f"{s}: {f'{count[s]} networks differ' if count[s] else 'as recorded'}" for s in SECTIONS
    ]
    again = "record them again: python -m benchmarks.frozen --out=docs/results/frozen.json"
    if count[LOGITS]:
        lines.append("Logits differ: numbers changed. Where that is meant, say why and " + again)
    elif any(count.values()):
        sections = ",".join(s for s in (ARENA, INSTRUCTIONS) if count[s])
        lines.append(
            "Logits are as recorded: a change of kernels or plans that computes the same. If it is "
            f"meant, {again} --sections={sections}"
        )
    for kind, text in (
        (DifferenceKind.FAULT, "known faults changed"),
        (DifferenceKind.GAINED, "more runs than did"),
    ):
        if names := sorted({d.network for d in differences if d.kind is kind}):
            lines.append(f"{text}: {', '.join(names)}; record them again")
    return "\n".join(lines)
