# SPDX-License-Identifier: Apache-2.0
"""`python -m converter.fuse --model=plain.tflite --out=fused.tflite`."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence

from absl import app, flags

from converter.fuse.pipeline import RESIDUAL_BITS, fuse_model
from converter.fuse.report import FuseReport
from converter.tflite import TfliteError
from tflm_vit.files import expect_writable, write_atomic
from tflm_vit.run import run

_MODEL = flags.DEFINE_string("model", None, "Plain int8 .tflite (static batch 1).", required=True)
_OUT = flags.DEFINE_string("out", None, "Where the fused .tflite goes.", required=True)
_RESIDUAL_BITS = flags.DEFINE_enum(
    "residual_bits", "8", [str(b) for b in RESIDUAL_BITS], "Type of the residual stream."
)
_PLAN = flags.DEFINE_bool("plan", True, "Choose tiles and plan the arena (docs/memory.md).")
_STREAMED = flags.DEFINE_bool(
    "streamed", False, "The application pushes image rows; the arena holds one strip of them."
)
_SRAM_BUDGET = flags.DEFINE_integer(
    "sram_budget",
    None,
    "Bytes that the arena may take; none: the smallest with good tiles.",
    lower_bound=1,
)
_JSON = flags.DEFINE_string("json", None, "Where the report goes as JSON.")


@dataclasses.dataclass(frozen=True)
class Planned:
    """What planning adds to the report, in bytes."""

    arena_bytes: int
    lower_bound_bytes: int


def _plan(content: bytes) -> tuple[bytes, Planned]:
    from converter.plan.model import plan_model

    result = plan_model(content, streamed=_STREAMED.value, sram_budget=_SRAM_BUDGET.value)
    return result.model_bytes, Planned(result.plan.arena_bytes, result.plan.lower_bound_bytes)


def _json(report: FuseReport, size: int, planned: Planned | None) -> bytes:
    tree = dataclasses.asdict(report) | {"model_bytes": size}
    if planned is not None:
        tree |= dataclasses.asdict(planned)
    return (json.dumps(tree, indent=2) + "\n").encode()


def _run() -> None:
    started = time.monotonic()
    expect_writable(_OUT.value, _JSON.value)
    try:
        with open(_MODEL.value, "rb") as file:
            plain = file.read()
    except OSError as error:
        raise TfliteError(f"cannot read: {error.strerror}") from error
    result = fuse_model(plain, int(_RESIDUAL_BITS.value))
    content, planned = (result.model_bytes, None)
    if _PLAN.value:
        content, planned = _plan(content)
    write_atomic(_OUT.value, content)
    if _JSON.value:
        write_atomic(_JSON.value, _json(result.report, len(content), planned))
    print(result.report.table())
    if planned is not None:
        proof = "optimal" if planned.arena_bytes == planned.lower_bound_bytes else "not proven"
        print(f"arena: {planned.arena_bytes:,} B ({proof})")
    seconds = time.monotonic() - started
    print(f"{_OUT.value}: {len(content):,} B, residual int{_RESIDUAL_BITS.value}, {seconds:.1f} s")


def _named() -> None:
    """`_run`, whose errors about the model name its file."""
    try:
        _run()
    except ValueError as error:
        raise TfliteError(f"{_MODEL.value}: {error}") from error


def main(argv: Sequence[str]) -> None:
    run("fuse", argv, _named)


def cli() -> None:
    """Entry point."""
    app.run(main)


if __name__ == "__main__":
    cli()
