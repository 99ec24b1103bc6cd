# SPDX-License-Identifier: Apache-2.0
"""`make demo`: handwritten digits from training to an emulated STM32F746.

Trains `vit_digits` on scikit-learn's digits, quantizes it, fuses and plans it, and runs the
held-out test set through every runtime: LiteRT (plain int8), TFLM with the custom operators, the
compiled host library, and, on a sample, the board's own firmware in the emulator. Leaves models,
their report as a page, a CMake firmware project and `summary.json` in the output folder.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from boards import get_board
from converter import tflite
from converter.contract import contract_of
from converter.evaluate import evaluation
from converter.plan import read_plan
from converter.runtimes import Runtime, open_runtime
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.runtimes.tflm.plain_gelu import replace_gelu
from firmware.export import export_project
from firmware.model import project_from_model
from firmware.runtime import EmulatedRuntime
from keras_models.datasets import load_dataset
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run

PRESET = "vit_digits"
BOARD = "stm32f746g_disco"

FLAGS = flags.FlagSet("demo", __doc__)
_OUT = flags.out(FLAGS, "Folder for the results.", False, "build/demo")
_EPOCHS = flags.epochs(FLAGS, "Epochs of the training, instead of the recipe's.")
_EMULATED_COUNT = flags.emulated_count(
    FLAGS, 400, "At most so many test images on the emulated board.", 1
)


@dataclasses.dataclass(frozen=True)
class Summary:
    """What the demo shows. Accuracies are 0..1 on the test split; emulated on a sample of it."""

    float_accuracy: float
    plain_int8_accuracy: float
    tflm_accuracy: float
    host_accuracy: float
    emulated_accuracy: float
    test_images: int
    emulated_images: int
    emulated_mismatches: int
    tflm_vs_host_mismatches: int
    ops_plain: int
    ops_fused: int
    arena_bytes: int
    tflm_arena_bytes: int
    plain_tflm_arena_bytes: int
    sram_total_bytes: int
    stack_bytes: int
    flash_bytes: int
    instructions_per_inference: int
    seconds: float

    def table(self) -> str:
        rows = (
            ("test images", f"{self.test_images}"),
            ("accuracy, float (Keras)", f"{self.float_accuracy:.2%}"),
            ("accuracy, plain int8 (LiteRT)", f"{self.plain_int8_accuracy:.2%}"),
            ("accuracy, fused (TFLM)", f"{self.tflm_accuracy:.2%}"),
            ("accuracy, fused (host library)", f"{self.host_accuracy:.2%}"),
            (
                f"accuracy, fused (emulated, {self.emulated_images} images)",
                f"{self.emulated_accuracy:.2%}",
            ),
            ("logits that differ, TFLM / host", f"{self.tflm_vs_host_mismatches}"),
            ("logits that differ, emulated / host", f"{self.emulated_mismatches}"),
            ("operators, plain -> fused", f"{self.ops_plain} -> {self.ops_fused}"),
            ("arena of the plain model in TFLM", f"{self.plain_tflm_arena_bytes:,} B"),
            ("arena, fused, compiled runtime", f"{self.arena_bytes:,} B"),
            ("SRAM in all (arena, stack, data)", f"{self.sram_total_bytes:,} B"),
            ("flash", f"{self.flash_bytes:,} B"),
            ("instructions per inference", f"{self.instructions_per_inference:,}"),
            ("seconds", f"{self.seconds:.0f}"),
        )
        return "\n".join(f"{name:46} {value:>12}" for name, value in rows)


def _command(module: str, *arguments: str) -> None:
    """Runs one of the toolkit's commands as a user would, and shows it."""
    print(f"\n$ python -m {module} {shlex.join(arguments)}", flush=True)
    result = subprocess.run([sys.executable, "-m", module, *arguments], check=False)
    if result.returncode:
        sys.exit(f"demo: python -m {module} failed with exit status {result.returncode}")


def _evaluate(
    name: str, runtime: Runtime, model: bytes, data: evaluation.PixelBatches
) -> evaluation.RuntimeResult:
    with tqdm(total=len(data), desc=f"{name:>8}", unit="image") as bar:

        def progress(_: str, done: int, __: int) -> None:
            bar.update(done - bar.n)

        ends = evaluation.ends_of(model)
        images = evaluation.ContractImages(data, contract_of(model))
        return evaluation.evaluate_runtime(name, runtime, ends, images, None, progress)


def _mismatches(a: evaluation.RuntimeResult, b: evaluation.RuntimeResult) -> int:
    """int8 logits that differ on the images that both saw."""
    return evaluation.compare((a, b))[0].logits_different


def _run(out: Path) -> Summary:
    started = time.monotonic()
    trained, plain_file, fused_file = out / "trained", out / "plain.tflite", out / "fused.tflite"
    epochs = [f"--epochs={_EPOCHS.value}"] if _EPOCHS.value else []
    _command(
        "keras_models.train", f"--network={PRESET}", f"--out={trained}", "--overwrite", *epochs
    )
    _command("converter.quantize", f"--network={trained}", f"--out={plain_file}")
    _command("converter.fuse", f"--model={plain_file}", f"--out={fused_file}")
    _command(
        "converter.inspect", f"--model={fused_file}", f"--plain_model={plain_file}",
        f"--board={BOARD}", f"--html={out / 'report.html'}", f"--json={out / 'report.json'}",
    )  # fmt: skip
    print(f"\nevaluating on the test set and on the emulated {BOARD}", flush=True)
    plain, fused = plain_file.read_bytes(), fused_file.read_bytes()
    data = load_dataset("digits", "", image_size=8, channels=1).test
    litert = _evaluate("litert", open_runtime("litert", plain, 2), plain, data)
    host = _evaluate("host", open_runtime("host", fused, 2), fused, data)
    tflm = _evaluate("tflm", open_runtime("tflm", fused, 1), fused, data)
    board = EmulatedRuntime(fused, board=get_board(BOARD))
    sample = data.take(min(_EMULATED_COUNT.value, len(data)))
    emulated = _evaluate("emulated", board, fused, sample)
    assert board.last is not None
    with tempfile.TemporaryDirectory() as work:
        project = project_from_model(fused, get_board(BOARD), Path(work), name="digits")
        export_project(project, "cmake", out / "firmware", overwrite=True)
    emulator = board.emulators[0]
    return Summary(
        float_accuracy=_float_accuracy(trained),
        plain_int8_accuracy=litert.scores.top1,
        tflm_accuracy=tflm.scores.top1,
        host_accuracy=host.scores.top1,
        emulated_accuracy=emulated.scores.top1,
        test_images=len(data),
        emulated_images=len(emulated.logits),
        emulated_mismatches=_mismatches(host, emulated),
        tflm_vs_host_mismatches=_mismatches(host, tflm),
        ops_plain=len(tflite.parse(plain).graph.operators),
        ops_fused=len(tflite.parse(fused).graph.operators),
        arena_bytes=read_plan(fused).arena_bytes,
        tflm_arena_bytes=TflmInterpreter(fused).arena_used_bytes,
        plain_tflm_arena_bytes=TflmInterpreter(replace_gelu(plain)).arena_used_bytes,
        sram_total_bytes=emulator.sram_total_bytes(),
        stack_bytes=emulator.stack_high_water_bytes(),
        flash_bytes=emulator.memory_use().flash_bytes,
        instructions_per_inference=board.last.instructions,
        seconds=round(time.monotonic() - started, 1),
    )


def _float_accuracy(trained: Path) -> float:
    """Test accuracy of the float model, as training measured it."""
    return float(json.loads((trained / "train.json").read_text())["test_accuracy"])


def _body() -> None:
    out = Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    summary = _run(out)
    write_json(out / "summary.json", dataclasses.asdict(summary))
    print(f"\n{summary.table()}\n\nwrote {out}: models, report.html, summary.json and firmware/")
    # The runtimes run one file with one definition: a single different logit is a defect.
    if summary.emulated_mismatches or summary.tflm_vs_host_mismatches:
        raise ValueError("the runtimes disagree; see the mismatches above")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
