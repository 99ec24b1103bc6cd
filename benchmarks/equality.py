# SPDX-License-Identifier: Apache-2.0
"""Runs whole networks through every runtime and compares each int8 logit.

    python -m benchmarks.equality --networks=vit_t_240,test_cls --count=2 --json=equality.json

For each preset with random weights: Keras -> plain int8 -> fused, int8 and int16 residual stream,
resident and streamed; then the NumPy reference, TFLM, the host library and the emulated board.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.networks import SEED, plain_model, synthetic_images
from boards import get_board
from converter import tflite
from converter.evaluate.evaluation import ends_of
from converter.fuse import fuse_model
from converter.plan import plan_model, read_plan
from converter.plan.strip import strip_model
from converter.runtimes.host import HostModel
from converter.runtimes.reference import GraphInterpreter
from converter.runtimes.tflm.interpreter import ArenaUsage, TflmInterpreter
from converter.runtimes.tflm.plain_gelu import replace_gelu
from converter.runtimes.tflm.streamed import StripInterpreter
from converter.weight_bits.fused import round_file
from converter.weight_bits.wanted import WeightBits
from firmware.runtime import EmulatedRuntime
from keras_models.arch import ArchConfig
from tflm_vit import flags
from tflm_vit.files import expect_writable
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("equality", __doc__)
flags.networks(FLAGS, ["vit_t_240"])
flags.count(FLAGS, "Number of images for each model.", 2, 1)
flags.weight_bits(FLAGS)
flags.json(FLAGS)

Int8Array = NDArray[np.int8]


@dataclasses.dataclass(frozen=True)
class Equality:
    """One fused model in all runtimes.

    Attributes:
      mismatches: int8 logits that differ from the host library's, by runtime.
      distinct_logits: different values among the host's logits (1 would make the check empty).
      arena_bytes: planned; tflm_head_bytes and tflm_tail_bytes: what TFLM took on a 64-bit host.
    """

    preset: str
    weight_bits: str
    residual_bits: int
    streamed: bool
    ops_plain: int
    ops_fused: int
    images: int
    logits: int
    distinct_logits: int
    reference_mismatches: int | None
    tflm_mismatches: int
    emulated_mismatches: int
    arena_bytes: int
    tflm_head_bytes: int
    tflm_tail_bytes: int
    plain_tflm_arena_bytes: int

    @property
    def equal(self) -> bool:
        mismatches = (self.reference_mismatches, self.tflm_mismatches, self.emulated_mismatches)
        return self.distinct_logits > 1 and not any(mismatches)


def _differences(expected: Int8Array, got: Int8Array) -> int:
    assert expected.shape == got.shape, (expected.shape, got.shape)
    return int(np.count_nonzero(expected != got))


def _reference(model: bytes, images: Int8Array) -> Int8Array | None:
    """Logits by the operators' definition; None where builtin operators are left.

    Builtin operators run in LiteRT there, whose rounding is not TFLM's.
    """
    interpreter = GraphInterpreter(model)
    if len(interpreter.fused) < len(interpreter.model.graph.operators):
        return None
    return np.concatenate([np.reshape(interpreter.run(image[None]), (1, -1)) for image in images])


def _tflm(model: bytes, streamed: bool, images: Int8Array) -> tuple[Int8Array, ArenaUsage]:
    """Logits, and the arena that TFLM took."""
    if streamed:
        strip = read_plan(model).strip
        assert strip is not None
        strips = StripInterpreter(strip_model(model, strip.offset))
        rows = [np.reshape(strips.invoke(image[None]), (1, -1)) for image in images]
        return np.concatenate(rows), strips.interpreter.arena_usage
    whole = TflmInterpreter(model)
    rows = [np.reshape(whole.invoke(image[None]), (1, -1)) for image in images]
    return np.concatenate(rows), whole.arena_usage


# Both forms of the input, resident and streamed, begin with the same file.
@functools.lru_cache(maxsize=2)
def _fused(plain: bytes, residual_bits: int) -> bytes:
    return fuse_model(plain, residual_bits=residual_bits).model_bytes


@functools.lru_cache(maxsize=1)
def _plain_arena_bytes(plain: bytes) -> int:
    return TflmInterpreter(replace_gelu(plain)).arena_used_bytes


def compare(
    arch: ArchConfig,
    plain: bytes,
    residual_bits: int,
    streamed: bool,
    image_count: int,
    weight_bits: str = "8",
) -> Equality:
    """Runs one fused form of a plain model, of so many bits of weights, everywhere."""
    model = plan_model(_fused(plain, residual_bits), streamed=streamed).model_bytes
    real = synthetic_images(image_count, arch.image_size, arch.channels, SEED + 7)
    images = ends_of(model).quantize(real)
    host = HostModel(model).run(images)
    reference = _reference(model, images)
    tflm, usage = _tflm(model, streamed, images)
    board = EmulatedRuntime(model, board=get_board("stm32f746g_disco"))
    emulated = board.run_batch(images[:, np.newaxis])[0].reshape(host.shape)
    return Equality(
        preset=arch.name,
        weight_bits=weight_bits,
        residual_bits=residual_bits,
        streamed=streamed,
        ops_plain=len(tflite.parse(plain).graph.operators),
        ops_fused=len(tflite.parse(model).graph.operators),
        images=len(images),
        logits=host.size,
        distinct_logits=len(np.unique(host)),
        reference_mismatches=None if reference is None else _differences(host, reference),
        tflm_mismatches=_differences(host, tflm),
        emulated_mismatches=_differences(host, emulated),
        arena_bytes=read_plan(model).arena_bytes,
        tflm_head_bytes=usage.head_bytes,
        tflm_tail_bytes=usage.tail_bytes,
        plain_tflm_arena_bytes=_plain_arena_bytes(plain),
    )


def _body() -> None:
    expect_writable(FLAGS.json)
    wanted = WeightBits.of(FLAGS.weight_bits, None, 0)
    results = []
    head = f"{'network':<16}{'resid.':>7}{'input':>10}{'ops':>12}{'arena':>9}{'TFLM plain':>12}"
    print(head + f"{'TFLM fused':>12}  differing logits (reference, TFLM, emulated)")
    for preset in FLAGS.networks:
        arch, plain = plain_model(preset)
        if wanted is not None:
            plain = round_file(plain, wanted).model_bytes
        for bits in (8, 16):
            for streamed in (False, True) if not arch.stem else (False,):
                r = compare(arch, plain, bits, streamed, FLAGS.count, FLAGS.weight_bits)
                results.append(r)
                tflm = r.tflm_head_bytes + r.tflm_tail_bytes
                print(
                    f"{preset:<16}{bits:>7}{'streamed' if streamed else 'resident':>10}"
                    f"{r.ops_plain:>6} ->{r.ops_fused:>3}{r.arena_bytes:>9}"
                    f"{r.plain_tflm_arena_bytes:>12}{tflm:>12}  "
                    f"{r.reference_mismatches}, {r.tflm_mismatches}, {r.emulated_mismatches}"
                    f" of {r.logits}",
                    flush=True,
                )
    if FLAGS.json:
        report = {
            "command": typed_command("benchmarks.equality"),
            "seed": SEED,
            "results": [dataclasses.asdict(r) for r in results],
        }
        tflite.write_atomic(FLAGS.json, (json.dumps(report, indent=2) + "\n").encode())
    if not all(r.equal for r in results):
        raise ValueError("the runtimes disagree; see above")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
