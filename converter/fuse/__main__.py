# SPDX-License-Identifier: Apache-2.0
"""`python -m converter.fuse --model=plain.tflite --out=fused.tflite`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from converter.contract_flags import ContractFlags
from converter.fuse.int8_io import remark_on_ends, with_int8_io
from converter.fuse.pipeline import fuse_model
from converter.fuse.report import FuseReport
from converter.support import Verdict, text, verdicts
from converter.tflite import TfliteError, parse, read_model
from converter.weight_bits.wanted import WeightBits
from tflm_vit import flags
from tflm_vit.files import expect_writable, json_text, write_atomic
from tflm_vit.freed_memory import keep_freed_memory
from tflm_vit.run import run

if TYPE_CHECKING:
    from converter.contract import Stated
    from converter.fuse.probe_images import Probes
    from converter.weight_bits.pipeline import WeightBitsReport

FLAGS = flags.FlagSet("fuse", __doc__)
_MODEL = flags.model(FLAGS, "Plain int8 .tflite (static batch 1).")
_OUT = flags.out(FLAGS, "Where the fused .tflite goes.")
_SIGNATURE = FLAGS.string(
    "signature", "", "Inference function to fuse, where the file has several."
)
_INT8_IO = FLAGS.boolean(
    "int8_io",
    False,
    "Inputs and outputs of float32, uint8 or int16 become int8: QUANTIZE and DEQUANTIZE at the "
    "ends are left out. Those of int64 (token numbers) become int32.",
)
_RESIDUAL_BITS = flags.residual_bits(FLAGS, " Not given: 16 where the file has it in float.")
_PLAN = FLAGS.boolean("plan", True, "Choose tiles and plan the arena (docs/memory.md).")
_STREAMED = flags.streamed(FLAGS)
_ARENA = flags.arena(FLAGS)
_ALLOW_UNFUSED = FLAGS.boolean(
    "allow_unfused", False, "Write the file although nothing was fused or no runtime runs it."
)
_IMAGES = flags.images(
    FLAGS,
    "What is fused is checked on them, and float tensors between integers get their ranges on "
    "them; without them numbers of the inputs' ranges, and bounds.",
)
_SAMPLES = flags.calibration_file(FLAGS, "For what --images is for, where inputs are no images.")
_CONTRACT = ContractFlags(FLAGS, labels=True)
_WEIGHT_BITS = flags.weight_bits(FLAGS)
_FLASH = flags.flash(FLAGS)
_CODE = flags.code_bytes(FLAGS)
_JSON = flags.json(FLAGS)


@dataclasses.dataclass(frozen=True)
class PlannedBytes:
    """What planning adds to the report, in bytes."""

    arena_bytes: int
    lower_bound_bytes: int


def _plan(content: bytes) -> tuple[bytes, PlannedBytes]:
    from converter.plan.model import plan_model

    result = plan_model(content, streamed=_STREAMED.value, arena_budget=_ARENA.value)
    return result.model_bytes, PlannedBytes(result.plan.arena_bytes, result.plan.lower_bound_bytes)


def _json(
    report: FuseReport,
    weights: WeightBitsReport | None,
    size: int,
    planned: PlannedBytes | None,
    runtimes: tuple[Verdict, ...],
) -> bytes:
    tree = dataclasses.asdict(report) | {"model_bytes": size}
    if weights is not None:
        tree["weight_bits"] = dataclasses.asdict(weights)
    tree |= {"runtimes": [dataclasses.asdict(entry) | {"runs": entry.runs} for entry in runtimes]}
    if planned is not None:
        tree |= dataclasses.asdict(planned)
    return json_text(tree).encode()


def _expect_use(report: FuseReport, runtimes: tuple[Verdict, ...], ends: str | None) -> None:
    """Refuses what would be of no use.

    Args:
      ends: what `remark_on_ends` says.

    Raises:
      TfliteError: nothing was fused, or no runtime runs the result.
    """
    if _ALLOW_UNFUSED.value:
        return
    if not report.fused:
        reasons = "; ".join(str(entry) for entry in report.not_fused[:3])
        raise TfliteError(
            f"nothing was fused{': ' if reasons else ''}{reasons}; --allow_unfused writes the file "
            "all the same"
        )
    if not any(entry.runs for entry in runtimes):
        reasons = "; ".join([*map(str, runtimes), *filter(None, [ends])])
        raise TfliteError(f"no runtime runs it ({reasons}); --allow_unfused writes it all the same")


def _probes(plain: bytes, given: Stated | None, signature: str | None) -> Probes | None:
    """The inputs that the user names."""
    if _IMAGES.value and _SAMPLES.value:
        raise flags.FlagError("got --images and --calibration_file, expected one of them")
    if not (_IMAGES.value or _SAMPLES.value):
        return None
    from converter.fuse.probe_images import probe_images, probe_samples

    if _IMAGES.value:
        return probe_images(plain, _IMAGES.value, given, signature)
    return probe_samples(plain, _SAMPLES.value, signature)


def _run() -> None:
    started = time.monotonic()
    keep_freed_memory()
    expect_writable(_OUT.value, _JSON.value)
    wanted = WeightBits.of(_WEIGHT_BITS.value, _FLASH.value, _CODE.value)
    plain = read_model(_MODEL.value)
    given = _CONTRACT.given() if _CONTRACT.any else None
    signature = _SIGNATURE.value or None
    if _INT8_IO.value:
        plain = with_int8_io(plain, signature)
    probes = _probes(plain, given, signature)
    if given is not None:
        from converter.contract import rewritten

        plain = rewritten(plain, given, signature)
    residual_bits = int(_RESIDUAL_BITS.value) if _RESIDUAL_BITS.given else None
    weights = None
    if wanted is not None:
        from converter.weight_bits.fused import expect_within, round_file

        rounded = round_file(plain, wanted, residual_bits, signature, probes)
        plain, weights = rounded.model_bytes, rounded.report
    result = fuse_model(plain, residual_bits, signature, probes)
    content, planned = (result.model_bytes, None)
    if _PLAN.value:
        content, planned = _plan(content)
    if wanted is not None:
        expect_within(content, wanted)
    graph = parse(content).graph
    runtimes = verdicts(graph)
    ends = remark_on_ends(graph)
    _expect_use(result.report, runtimes, ends)
    write_atomic(_OUT.value, content)
    if _JSON.value:
        write_atomic(_JSON.value, _json(result.report, weights, len(content), planned, runtimes))
    print(result.report.table())
    if weights is not None:
        print(weights.table())
    if planned is not None:
        proof = "optimal" if planned.arena_bytes == planned.lower_bound_bytes else "not proven"
        print(f"arena: {planned.arena_bytes:,} B ({proof})")
    print(text(runtimes))
    if ends is not None:
        print(ends)
    seconds = time.monotonic() - started
    bits = max((op.residual_bits for op in result.report.fused), default=8)
    print(f"{_OUT.value}: {len(content):,} B, residual int{bits}, {seconds:.1f} s")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _run, argv, about=_MODEL)


if __name__ == "__main__":
    main()
