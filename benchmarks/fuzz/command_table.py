# SPDX-License-Identifier: Apache-2.0
"""The commands that read a `.tflite`: how each is called, and what is right of its result.

What a command accepts is compared with the operators' definition (NumPy) on one random input: the
file that it wrote, or the file that it took, in the runtime that the command is about.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.frozen.plain_files import random_inputs
from converter.runtimes import RuntimeUnavailableError, open_runtime

PLAIN, FUSED, PLANNED = "plain", "fused", "planned"
_BYTES = {"b": np.dtype(np.int8)}  # drawn in the place of bool
Arrays = tuple[NDArray[np.generic], ...]


@dataclasses.dataclass(frozen=True)
class ReaderCommand:
    """A command.

    Attributes:
      module: with its `main`.
      files: kinds of file that it is given.
      words: its command line, from the file and a folder for what it writes.
      wrong: what is wrong with what it accepted, from the same; "" where nothing is.
      compared: of how many accepted files one is compared; comparing may compile C.
      of_images: it takes networks of images alone.
    """

    module: str
    files: tuple[str, ...]
    words: Callable[[str, str], list[str]]
    wrong: Callable[[Path, Path], str]
    compared: int
    of_images: bool = False


def _inputs(content: bytes) -> Arrays:
    runtime = open_runtime("reference", content)
    shapes = [(spec.shape, _BYTES.get(spec.dtype.kind, spec.dtype)) for spec in runtime.inputs]
    (drawn,) = random_inputs("fuzz", shapes, 1)
    return tuple(x.astype(s.dtype) for x, s in zip(drawn, runtime.inputs, strict=True))


def _differ(one: tuple[str, bytes], other: tuple[str, bytes]) -> str:
    """How the outputs of two runs (runtime, file) differ; "" where equal or one cannot run."""
    try:
        x = _inputs(one[1])
        first, second = (open_runtime(name, content).run(*x) for name, content in (one, other))
    except RuntimeUnavailableError:
        return ""
    for a, b in zip(first, second, strict=True):
        if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            return f"{one[0]} and {other[0]} differ in {np.mean(a != b):.1%} of {a.size} values"
    return ""


def _fused(model: Path, out: Path) -> str:
    content = (out / "out").read_bytes()
    return _differ(("reference", content), ("tflm", content))


def _planned(model: Path, out: Path) -> str:
    return _differ(("reference", model.read_bytes()), ("tflm", (out / "out").read_bytes()))


def _inspected(model: Path, out: Path) -> str:
    content = model.read_bytes()
    try:
        return _differ(("reference", content), ("tflm", content))
    except RuntimeUnavailableError:
        return ""  # inspect says so: no runtime has the operator


def _compiled(model: Path, out: Path) -> str:
    content = model.read_bytes()
    return _differ(("reference", content), ("host", content))


def _evaluated(model: Path, out: Path) -> str:
    pairs = json.loads((out / "json").read_text())["comparisons"]
    return f"runtimes differ: {pairs}" if any(p["logits_different"] for p in pairs) else ""


def _emulated(model: Path, out: Path) -> str:
    content = model.read_bytes()
    spec = (runtime := open_runtime("reference", content)).inputs[0]
    zeros = np.full(spec.shape, spec.zero_point or 0, spec.dtype)
    (expected,) = runtime.run(zeros)
    got = json.loads((out / "json").read_text())["images"][0]["logits"]
    return "" if got == expected.reshape(-1).tolist() else "the board's logits are others"


COMMANDS: Mapping[str, ReaderCommand] = {
    "fuse": ReaderCommand(
        "converter.fuse.__main__", (PLAIN, PLAIN, PLAIN, FUSED),
        lambda f, o: [f"--model={f}", f"--out={o}/out", f"--json={o}/json"], _fused, 1,
    ),
    "plan": ReaderCommand(
        "converter.plan.__main__", (PLAIN, FUSED, PLANNED),
        lambda f, o: [f"--model={f}", f"--out={o}/out", "--time_limit_s=1"], _planned, 2,
    ),
    "inspect": ReaderCommand(
        "converter.inspect.__main__", (PLANNED, PLANNED, PLAIN, FUSED),
        lambda f, o: [f"--model={f}", f"--json={o}/json", f"--csv={o}/csv"], _inspected, 2,
    ),
    "compile": ReaderCommand(
        "converter.compile.__main__", (PLANNED, PLANNED, PLANNED, FUSED, PLAIN),
        lambda f, o: [f"--model={f}", f"--out={o}/out"], _compiled, 8,
    ),
    "export": ReaderCommand(
        "firmware.export", (PLANNED, PLANNED, PLANNED, FUSED, PLAIN),
        lambda f, o: [f"--model={f}", f"--out={o}/out", "--nocheck"], _compiled, 8,
    ),
    "evaluate": ReaderCommand(
        "converter.evaluate.__main__", (PLANNED, PLANNED, FUSED, PLAIN),
        lambda f, o: [f"--model={f}", "--dataset=digits", "--runtime=reference,tflm", "--count=1",
                      "--mean=0", "--std=255", f"--json={o}/json"], _evaluated, 1, True,
    ),
    "emulate": ReaderCommand(
        "firmware.emulate", (PLANNED, PLANNED, PLANNED, FUSED, PLAIN),
        lambda f, o: [f"--model={f}", f"--json={o}/json"], _emulated, 1, True,
    ),
}  # fmt: skip
