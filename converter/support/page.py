# SPDX-License-Identifier: Apache-2.0
"""`python -m converter.support.page`: prints docs/supported_operators.md, from the table."""

from __future__ import annotations

from collections.abc import Sequence

from converter.support.table import TABLE, Builtin, Form
from tflm_custom_ops.ops import BY_CODE
from tflm_vit import flags
from tflm_vit.run import run

FLAGS = flags.FlagSet("page", __doc__)

_HEAD = """<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Generated from converter/support/table.py; tests/converter/support/test_table.py says how. -->
# Supported operators

What a `.tflite` may hold, fused or not. `fuse`, `inspect` and `export` say for a file which
runtimes run it and name every operator that one lacks.

* **compiled**: the compiled runtime, of firmware projects, the emulator and `--runtime=host`.
* **TFLM wheel**: TensorFlow Lite Micro on this machine (`--runtime=tflm`) with the fused operators.
* **TFLM on a device**: a firmware project with TFLM (`export` with the TFLM runtime).

Types are those of an operator's first activation; where none is named the runtime's own rules hold.

## Fused operators

Every runtime has them all: {fused}.

## Builtin operators

| operator | compiled | TFLM wheel | TFLM on a device |
|---|---|---|---|
"""


def _cell(form: Form | None) -> str:
    return "" if form is None else str(form)


def _row(entry: Builtin) -> str:
    device = entry.wheel if entry.method else None
    cells = (_cell(form) for form in (entry.compiled, entry.wheel, device))
    return f"| {entry.name} | {' | '.join(cells)} |\n"


def page() -> str:
    """The text of docs/supported_operators.md."""
    fused = ", ".join(f"`{code}`" for code in sorted(BY_CODE))
    return _HEAD.format(fused=fused) + "".join(_row(entry) for entry in TABLE.values())


def _body() -> None:
    print(page(), end="")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
