# SPDX-License-Identifier: Apache-2.0
"""``python -m converter.compile --model=fused.tflite --out=DIR``: generated C of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from converter.compile.compiler import CompiledModel, compile_model
from converter.tflite import read_model
from tflm_vit import flags
from tflm_vit.files import expect_writable, expect_writable_folder, write_json
from tflm_vit.run import run

FLAGS = flags.FlagSet("compile", __doc__)
_MODEL = flags.model(FLAGS, "Fused and planned .tflite.")
_OUT = flags.out(FLAGS, "Folder for the generated files.")
_WEIGHTS_IN = flags.weights_in(FLAGS)
_JSON = flags.json(FLAGS)


def _figures(model: CompiledModel) -> list[tuple[str, int]]:
    i = model.interface
    return [
        ("operators", i.op_count),
        ("arena_bytes", i.arena_bytes),
        ("input_bytes", i.input_bytes),
        ("output_bytes", i.output_bytes),
        ("weights_bytes", model.weights_bytes),
        ("streamed", int(i.streamed)),
    ]


def _run() -> None:
    expect_writable_folder(_OUT.value)
    expect_writable(_JSON.value)
    content = read_model(_MODEL.value)
    model = compile_model(content, external_weights=_WEIGHTS_IN.value == "external")
    model.write(Path(_OUT.value))
    for name, value in _figures(model):
        print(f"{name:14} {value:>12,}")
    if _JSON.value:
        write_json(_JSON.value, dict(_figures(model)))


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _run, argv, about=_MODEL)


if __name__ == "__main__":
    main()
