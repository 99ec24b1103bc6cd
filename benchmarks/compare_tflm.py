# SPDX-License-Identifier: Apache-2.0
"""One network in TFLM with its own kernels, and in this project's runtime, both executed.

    TFLM_DIR=... python -m benchmarks.compare_tflm --network=vit_t_240 --json=compare_tflm.json

TFLM_DIR names a TFLM tree whose own build made a static library for Cortex-M7, with CMSIS-NN
(docs: firmware/README.md); every such library in it gets a column. The plain model runs on an
emulated Cortex-M7 with as much memory as it needs, because it fits no board; the fused one runs on
the emulated board, compiled and in TFLM's interpreter. All counts are exact.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.networks import SEED, plain_model, synthetic_images
from benchmarks.plain_tflm.application import BOARD, PlainRun, kernels_of, libraries, run_plain
from boards import get_board
from converter import tflite
from converter.evaluate.evaluation import ends_of
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.runtimes.tflm.plain_gelu import replace_gelu
from firmware.emulator.emulator import Emulator
from firmware.model import RUNTIME_COMPILED, RUNTIME_TFLM, build_model
from firmware.tflm.tree import ENVIRONMENT
from keras_models.arch import ArchConfig
from tflm_vit import flags
from tflm_vit.run import run

FLAGS = flags.FlagSet("compare_tflm", __doc__)
flags.network(FLAGS, "With random weights.", "vit_t_240")
flags.count(FLAGS, "Number of images.", 1, 1)
FLAGS.string("tflm_dir", "", "TFLM's tree; without it $TFLM_DIR.")
FLAGS.string("tflm_revision", "", "TFLM's commit, where the tree has no .git.")
flags.json(FLAGS)

Int8Array = NDArray[np.int8]
_FUSED_BOARD = "stm32f746g_disco"
_FUSED_TITLES = {RUNTIME_COMPILED: "compiled runtime", RUNTIME_TFLM: "fused in TFLM"}
_CMSIS_NN_SCRIPT = "tensorflow/lite/micro/tools/make/ext_libs/cmsis_nn_download.sh"


@dataclasses.dataclass(frozen=True)
class FusedRun:
    """The fused network on the emulated board.

    Attributes:
      runtime: `compiled` or `tflm`.
      streamed: the image came in rows and was never held as a whole.
      instructions: of one inference, exact.
      arena_bytes: scratch and, in TFLM, its bookkeeping included.
      code_bytes: functions of the whole firmware, start-up, drivers and console included.
      flash_bytes: code, constants and initial values, without the weights.
      model_bytes: of the weights, with TFLM of the `.tflite`.
      stack_bytes: most stack used.
      logits: int8[images, classes].
    """

    runtime: str
    streamed: bool
    instructions: int
    arena_bytes: int
    code_bytes: int
    flash_bytes: int
    model_bytes: int
    stack_bytes: int
    logits: Int8Array


@dataclasses.dataclass(frozen=True)
class Comparison:
    """All runs of one network.

    Attributes:
      wheel_mismatches: logits in which each plain run differs from TFLM's reference kernels in the
        wheel on the host.
      fused_mismatches: logits in which the fused network in TFLM differs from the compiled one.
    """

    preset: str
    macs: int
    images: int
    plain_ops: int
    fused_ops: int
    plain: tuple[PlainRun, ...]
    fused: tuple[FusedRun, ...]
    wheel_mismatches: tuple[int, ...]
    fused_mismatches: int


def _fused_run(model: bytes, images: Int8Array, runtime: str, streamed: bool) -> FusedRun:
    board = get_board(_FUSED_BOARD)
    with tempfile.TemporaryDirectory(prefix="vit-fused-") as work:
        elf = Path(work) / "firmware.elf"
        use = build_model(model, board, elf, runtime=runtime)
        emulator = Emulator(board, elf)
        inferences = [emulator.classify(image) for image in images]
        model_bytes = emulator.elf.symbol_bytes("vit_model_weights")
        return FusedRun(
            runtime=runtime,
            streamed=streamed,
            instructions=inferences[-1].instructions,
            arena_bytes=use.arena_bytes,
            code_bytes=use.code_bytes,
            flash_bytes=use.flash_bytes + use.external_flash_bytes - model_bytes,
            model_bytes=model_bytes,
            stack_bytes=emulator.stack_high_water_bytes(),
            logits=np.stack([inference.logits for inference in inferences]),
        )


def _wheel_logits(model: bytes, images: Int8Array) -> Int8Array:
    interpreter = TflmInterpreter(model)
    return np.concatenate([interpreter.invoke(image[None]).reshape(1, -1) for image in images])


def compare(
    arch: ArchConfig, plain: bytes, tree: Path, image_count: int, step: Callable[[str], None]
) -> Comparison:
    """Runs a plain model, and what the fuser makes of it.

    Args:
      plain: int8 `.tflite`.
      tree: TFLM_DIR.
      step: told what is going on.

    Raises:
      FirmwareError: a build or a run failed; the message says which.
    """
    model = replace_gelu(plain)
    real = synthetic_images(image_count, arch.image_size, arch.channels, SEED + 1)
    images = ends_of(plain).quantize(real)
    runs = []
    for library in libraries(tree):
        step(kernels_of(library))
        runs.append(run_plain(model, tree, library, images))
    step("TFLM on the host")
    wheel = _wheel_logits(model, images)
    step("fuse and plan")
    fused = fuse_model(plain).model_bytes
    resident = plan_model(fused, streamed=False).model_bytes
    compiled_model = resident if arch.stem else plan_model(fused, streamed=True).model_bytes
    step("compiled runtime")
    compiled = _fused_run(compiled_model, images, RUNTIME_COMPILED, not arch.stem)
    step("fused in TFLM")
    interpreted = _fused_run(resident, images, RUNTIME_TFLM, False)
    return Comparison(
        preset=arch.name,
        macs=arch.macs,
        images=len(images),
        plain_ops=len(tflite.parse(plain).graph.operators),
        fused_ops=len(tflite.parse(fused).graph.operators),
        plain=tuple(runs),
        fused=(compiled, interpreted),
        wheel_mismatches=tuple(int(np.count_nonzero(run.logits != wheel)) for run in runs),
        fused_mismatches=int(np.count_nonzero(compiled.logits != interpreted.logits)),
    )


def _table(result: Comparison) -> str:
    compiled = result.fused[0]
    columns: list[tuple[str, PlainRun | FusedRun]] = [(run.kernels, run) for run in result.plain]
    columns += [(_FUSED_TITLES[run.runtime], run) for run in result.fused]
    lines = [
        f"{result.preset}: {result.macs:,} MAC, {result.plain_ops} operators, fused "
        f"{result.fused_ops}",
        f"{'runtime':<24}{'instructions':>16}{'/MAC':>8}{'ratio':>8}{'arena':>11}{'stack':>8}"
        f"{'code':>10}{'flash':>10}{'model':>12}",
    ]
    for name, one in columns:
        ratio = one.instructions / compiled.instructions
        lines.append(
            f"{name:<24}{one.instructions:>16,}{one.instructions / result.macs:>8.3f}"
            f"{ratio:>8.2f}{one.arena_bytes:>11,}{one.stack_bytes:>8,}{one.code_bytes:>10,}"
            f"{one.flash_bytes:>10,}{one.model_bytes:>12,}"
        )
    for plain in result.plain:
        if not plain.operators:
            lines.append(f"{plain.kernels}: a release build, which has no figures per operator")
            continue
        lines.append(f"{plain.kernels}, instructions by operator type:")
        lines += [
            f"  {total.name:<22}{total.count:>4}{total.instructions:>16,}"
            for total in plain.operators
        ]
    lines.append(
        f"differing logits of {compiled.logits.size}: TFLM against its wheel on the host "
        f"{', '.join(map(str, result.wheel_mismatches))}; fused in TFLM against compiled "
        f"{result.fused_mismatches}"
    )
    return "\n".join(lines)


def _revision(tree: Path) -> str:
    if FLAGS.tflm_revision:
        return str(FLAGS.tflm_revision)
    command = ["git", "-C", str(tree), "rev-parse", "HEAD"]
    if not (tree / ".git").exists():
        return "unknown"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _cmsis_nn_revision(tree: Path) -> str:
    """The commit that this TFLM pins."""
    script = tree / _CMSIS_NN_SCRIPT
    found = re.search(r'ZIP_PREFIX_NN="(\w+)"', script.read_text()) if script.is_file() else None
    return found[1] if found else "unknown"


def _versions() -> dict[str, str]:
    from benchmarks.kernels.emulator import compiler_version

    packages = ("tensorflow", "keras", "numpy", "unicorn", "ortools")
    return {
        "python": platform.python_version(),
        "arm-none-eabi-gcc": compiler_version(),
        **{name: metadata.version(name) for name in packages},
    }


def _run_as_json(run: PlainRun | FusedRun) -> dict[str, Any]:
    fields = dataclasses.asdict(run)
    del fields["logits"]
    return fields


def report(result: Comparison, tree: Path) -> dict[str, Any]:
    """The comparison as JSON, without anything of this machine."""
    fields = {
        field.name: getattr(result, field.name)
        for field in dataclasses.fields(result)
        if field.name not in ("plain", "fused")
    }
    return {
        "command": "TFLM_DIR=(TFLM's tree) python -m benchmarks.compare_tflm "
        f"--network={FLAGS.network} --count={FLAGS.count}",
        "seed": SEED,
        "versions": _versions(),
        "tflm_revision": _revision(tree),
        "cmsis_nn_revision": _cmsis_nn_revision(tree),
        "libraries": [
            {
                "folder": path.parts[-3],
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in libraries(tree)
        ],
        "plain_machine": f"{BOARD.title} in Unicorn",
        "fused_machine": f"{get_board(_FUSED_BOARD).title} in Unicorn",
        **fields,
        "plain": [_run_as_json(run) for run in result.plain],
        "fused": [_run_as_json(run) for run in result.fused],
    }


def _find_tree() -> Path:
    """TFLM_DIR with a library; exits with one line where there is none."""
    value = FLAGS.tflm_dir or os.environ.get(ENVIRONMENT, "")
    if not value:
        print(
            f"compare_tflm: skipped, {ENVIRONMENT} is unset (a TFLM tree whose own build made "
            "libtensorflow-microlite.a for Cortex-M7 with CMSIS-NN)"
        )
        sys.exit(0)
    tree = Path(value).absolute()
    if not libraries(tree):
        sys.exit(f"compare_tflm: no library for Cortex-M7 in {ENVIRONMENT}={tree}")
    os.environ[ENVIRONMENT] = str(tree)
    return tree


def _body() -> None:
    tree = _find_tree()
    with tqdm(total=None, unit="step", disable=None) as bar:

        def step(text: str) -> None:
            bar.set_postfix_str(text)
            bar.update()

        step("quantize")
        arch, plain = plain_model(FLAGS.network)
        result = compare(arch, plain, tree, FLAGS.count, step)
    print(_table(result))
    if FLAGS.json:
        text = json.dumps(report(result, tree), indent=2) + "\n"
        tflite.write_atomic(FLAGS.json, text.encode())
    if any(result.wheel_mismatches) or result.fused_mismatches:
        raise ValueError("runtimes that must agree do not; see above")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
