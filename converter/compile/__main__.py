# SPDX-License-Identifier: Apache-2.0
"""``python -m converter.compile --model=fused.tflite --out=DIR``: generated C of a model."""

from __future__ import annotations

from pathlib import Path

from absl import app, flags

from converter.compile.compiler import CompiledModel, compile_model
from converter.compile.errors import CompileError
from tflm_vit.files import expect_writable, expect_writable_folder, write_json
from tflm_vit.run import run

_MODEL = flags.DEFINE_string("model", None, "Fused and planned .tflite.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder for the generated files.", required=True)
_EXTERNAL = flags.DEFINE_bool(
    "external_weights", False, "Place the weights in memory-mapped external flash (QSPI)."
)
_JSON = flags.DEFINE_string("json", "", "File for the model's figures.")


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
    content = Path(_MODEL.value).read_bytes()
    model = compile_model(content, external_weights=_EXTERNAL.value)
    model.write(Path(_OUT.value))
    for name, value in _figures(model):
        print(f"{name:14} {value:>12,}")
    if _JSON.value:
        write_json(_JSON.value, dict(_figures(model)))


def _named() -> None:
    """`_run`, whose errors about the model name its file."""
    try:
        _run()
    except ValueError as error:
        raise CompileError(f"{_MODEL.value}: {error}") from error


def main(argv: list[str]) -> None:
    run("compile", argv, _named)


if __name__ == "__main__":
    app.run(main)
