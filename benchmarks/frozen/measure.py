# SPDX-License-Identifier: Apache-2.0
"""Runs one plain file through fuse, plan and every runtime, and notes what came out."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.frozen.plain_files import random_inputs
from boards import get_board
from converter import tflite
from converter.fuse import fuse_model
from converter.plan import plan_model, read_plan
from converter.plan.strip import strip_model
from converter.runtimes import open_runtime
from converter.runtimes.tflm.streamed import StripInterpreter
from firmware.runtime import EmulatedRuntime

Array = NDArray[Any]
Inputs = list[tuple[Array, ...]]

REFERENCE, HOST, TFLM, EMULATED = "reference", "host", "tflm", "emulated"
RUNTIMES = (REFERENCE, HOST, TFLM, EMULATED)
REFUSED = "refused: "
_WHOLE_BYTES = 80  # Logits that are so short stand in the record themselves.


@dataclasses.dataclass(frozen=True)
class Job:
    """A network to measure.

    Attributes:
      name: in the record; the inputs are drawn from it.
      describe: one line for people.
      plain: makes the plain `.tflite`.
      residual_bits, streamed: the form that it takes.
      runtimes: those to run it in.
      board: for the emulated one.
      images: input sets.
      fault: why today's results are known to be wrong; empty where they are right.
    """

    name: str
    describe: str
    plain: Callable[[], bytes]
    residual_bits: int = 8
    streamed: bool = False
    runtimes: tuple[str, ...] = RUNTIMES
    board: str = "stm32f746g_disco"
    images: int = 2
    fault: str = ""


@dataclasses.dataclass(frozen=True)
class Arena:
    """What fusing and planning made of a network; `proven`: no smaller arena exists."""

    ops_before: int
    ops_after: int
    arena_bytes: int
    proven: bool


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one network.

    Attributes:
      plain: digest of the plain file, with its inputs.
      refusal: of fuse or plan, the kind of error; then there is nothing else.
      logits: `logits_text` by runtime, or "refused: " and the kind of error.
      instructions: of the first image on the emulated board; None if it was not emulated.
      messages: what a refusal said, by runtime ("" for fuse and plan); not in the record.
    """

    plain: str
    refusal: str
    arena: Arena | None
    logits: dict[str, str]
    instructions: int | None
    messages: dict[str, str] = dataclasses.field(default_factory=dict)


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(p).digest() for p in parts)).hexdigest()[:16]


def logits_text(outputs: Sequence[Array]) -> str:
    """The values as hexadecimal bytes if they are few int8, else their digest and the first ones.

    Outputs of all input sets, one after another; types and shapes go into the digest.
    """
    raw = b"".join(np.ascontiguousarray(y).tobytes() for y in outputs)
    if all(y.dtype == np.int8 for y in outputs) and len(raw) <= _WHOLE_BYTES:
        return raw.hex()
    kinds = ",".join(f"{y.dtype}{y.size}" for y in outputs)
    first = raw[:32].hex() if all(y.dtype == np.int8 for y in outputs) else ""
    return " ".join(filter(None, ("sha256", _digest(kinds.encode(), raw), first)))


def _refusal(error: Exception) -> str:
    return REFUSED + type(error).__name__


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _flat(rows: Sequence[Array]) -> list[Array]:
    return [np.reshape(row, -1) for row in rows]


def _run(name: str, model: bytes, inputs: Inputs) -> list[Array]:
    """All outputs of all input sets in a runtime that runs on this machine."""
    strip = read_plan(model).strip
    if name == TFLM and strip is not None:
        strips = StripInterpreter(strip_model(model, strip.offset))
        return _flat([strips.invoke(xs[0]) for xs in inputs])
    runtime = open_runtime(name, model, threads=1)
    return _flat([y for xs in inputs for y in runtime.run(*xs)])


def _emulated(model: bytes, inputs: Inputs, board_name: str) -> tuple[list[Array], int]:
    """The same on a board, and the instructions of the first input set."""
    board = EmulatedRuntime(model, board=get_board(board_name))
    outputs = _flat([y for xs in inputs[:1] for y in board.run(*xs)])
    assert board.last is not None
    instructions = board.last.instructions
    return outputs + _flat([y for xs in inputs[1:] for y in board.run(*xs)]), instructions


def _inputs(job: Job, plain: bytes) -> Inputs:
    graph = tflite.parse(plain).graph
    shapes = [(graph.tensors[i].shape, graph.tensors[i].dtype) for i in graph.inputs]
    return random_inputs(job.name, shapes, job.images)


def measure(job: Job, runtimes: Sequence[str] = RUNTIMES) -> Outcome:
    """Everything about one network, in those of its runtimes that are named.

    A runtime that refuses it, whatever way, is noted and not an error here.
    """
    plain = job.plain()
    try:
        inputs = _inputs(job, plain)
        digest = _digest(plain, *(x.tobytes() for xs in inputs for x in xs))
        fused = fuse_model(plain, job.residual_bits)
        planned = plan_model(fused.model_bytes, streamed=job.streamed)
    except Exception as error:  # What is refused, and how, is what is recorded.
        return Outcome(_digest(plain), _refusal(error), None, {}, None, {"": _line(error)})
    report, plan = fused.report, planned.plan
    arena = Arena(report.ops_before, report.ops_after, plan.arena_bytes, plan.optimal)
    logits: dict[str, str] = {}
    messages: dict[str, str] = {}
    instructions = None
    for name in (n for n in job.runtimes if n in runtimes):
        try:
            if name == EMULATED:
                outputs, instructions = _emulated(planned.model_bytes, inputs, job.board)
            else:
                outputs = _run(name, planned.model_bytes, inputs)
            logits[name] = logits_text(outputs)
        except Exception as error:
            logits[name], messages[name] = _refusal(error), _line(error)
    return Outcome(digest, "", arena, logits, instructions, messages)
