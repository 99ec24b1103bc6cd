# SPDX-License-Identifier: Apache-2.0
"""``python -m converter.compile --model=fused.tflite --out=DIR``: generated C of a model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from absl import app, flags

from converter.compile.compiler import CompiledModel, compile_model
from converter.compile.errors import CompileError
from converter.tflite import write_atomic

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
    content = Path(_MODEL.value).read_bytes()
    model = compile_model(content, external_weights=_EXTERNAL.value)
    model.write(Path(_OUT.value))
    for name, value in _figures(model):
        print(f"{name:14} {value:>12,}")
    if _JSON.value:
        write_atomic(_JSON.value, (json.dumps(dict(_figures(model)), indent=2) + "\n").encode())


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        sys.exit(f"converter.compile: unexpected argument {argv[1]!r}; give --model=FILE --out=DIR")
    try:
        _run()
    except CompileError as error:
        sys.exit(f"converter.compile: {_MODEL.value}: {error}")
    except OSError as error:
        sys.exit(f"converter.compile: {error.filename}: {error.strerror}")


if __name__ == "__main__":
    app.run(main)
