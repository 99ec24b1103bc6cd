# SPDX-License-Identifier: Apache-2.0
"""Runs mutants through the reader and LiteRT, and counts."""

from __future__ import annotations

import dataclasses
import resource
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from benchmarks.fuzz.litert_child import RUNS, Litert
from benchmarks.fuzz.mutate import mutant
from converter.tflite import TfliteError, parse

# What LiteRT refuses and the reader takes on purpose, by words of LiteRT's reason.
KNOWN = {
    "unresolved custom op": "custom operators: fuse refuses them, inspect and plan name them",
    "Select TensorFlow op": "custom operators: fuse refuses them, inspect and plan name them",
    "unsupported zero-point value": "weights with zero points: XNNPACK alone has not got them",
    "only defined for non-negative": "depends on the input's values, not on the file",
}


@dataclasses.dataclass(frozen=True)
class Passed:
    """A mutant that LiteRT refuses and the reader takes.

    Attributes:
      seed: of the mutant, `mutant(corpus[seed % len(corpus)], seed)`.
      change: what was changed.
      litert: its reason.
    """

    seed: int
    change: str
    litert: str


@dataclasses.dataclass
class Counts:
    """Of a campaign.

    Attributes:
      mutants: tried, by change.
      litert: LiteRT's verdicts.
      refused: of those that LiteRT does not run, how many the reader refuses.
      passed: the others of these.
      known: the others that are taken on purpose (`KNOWN`).
      stricter: those that LiteRT runs and the reader refuses (TFLM takes shapes from the file and
        aborts on what LiteRT mends).
      tracebacks: errors of the reader that are no TfliteError.
      slowest_s, largest_bytes: time of one file in the reader, greatest memory of the process.
    """

    mutants: Counter[str] = dataclasses.field(default_factory=Counter)
    litert: Counter[str] = dataclasses.field(default_factory=Counter)
    refused: int = 0
    passed: list[Passed] = dataclasses.field(default_factory=list)
    known: Counter[str] = dataclasses.field(default_factory=Counter)
    stricter: list[tuple[int, str, str]] = dataclasses.field(default_factory=list)
    tracebacks: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    slowest_s: float = 0.0
    largest_bytes: int = 0


def _refusal(content: bytes, seed: int, counts: Counts) -> str | None:
    """The reader's reason to refuse a file, or None."""
    started = time.process_time()
    try:
        parse(content)
    except TfliteError as error:
        return str(error)
    except Exception as error:  # the point of the campaign: none of another kind
        counts.tracebacks.append((seed, repr(error)))
        return repr(error)
    finally:
        counts.slowest_s = max(counts.slowest_s, time.process_time() - started)
    return None


def valid(corpus: Iterable[bytes]) -> list[bytes]:
    """Those that LiteRT runs as they are."""
    with Litert() as litert:
        return [content for content in corpus if litert.verdict(content)[0] == RUNS]


def campaign(corpus: Sequence[bytes], seeds: Iterable[int]) -> Counts:
    """Mutates, asks both, and counts; the same seeds give the same mutants."""
    counts = Counts()
    with Litert() as litert:
        for seed in seeds:
            found = mutant(corpus[seed % len(corpus)], seed)
            if found is None:
                continue
            change, content = found
            counts.mutants[change.split("+")[0]] += 1
            verdict, reason = litert.verdict(content)
            counts.litert[verdict] += 1
            refusal = _refusal(content, seed, counts)
            why = next((text for words, text in KNOWN.items() if words in reason), None)
            if verdict != RUNS and refusal is None and why is not None:
                counts.known[why] += 1
            elif verdict != RUNS and refusal is None:
                counts.passed.append(Passed(seed, change, f"{verdict} {reason}"))
            elif verdict != RUNS:
                counts.refused += 1
            elif refusal is not None:
                counts.stricter.append((seed, change, refusal))
    counts.largest_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return counts
