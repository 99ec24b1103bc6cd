# SPDX-License-Identifier: Apache-2.0
"""`python -m converter.support.page`: prints docs/supported_operators.md, from the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converter.fuse.op_semantics import CONSTANTS, NORMALIZATIONS, POINTWISE
from converter.fuse.rewrite import RULES
from converter.support.table import TABLE, Builtin, Form
from converter.tflite.schema import OPCODES
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

What the compiled runtime has not, `fuse` may write in operators that it has: the last column names
the [rule](supported_patterns.md#spellings). A *table* is what it makes of a function of one number,
also in float between DEQUANTIZE and QUANTIZE.

Types are those of an operator's first activation; where none is named the runtime's own rules hold.

## Fused operators

Every runtime has them all: {fused}.

## Builtin operators

| operator | compiled | TFLM wheel | TFLM on a device | fuse writes it anew |
|---|---|---|---|---|
"""
_TAIL = """
No runtime here has, and `fuse` does not replace: {names}.
"""
_NOT_OPERATORS = ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")
_WRITTEN_ANEW = "writes "  # how the summary of a rule begins that leaves none of its anchors


def _cell(form: Form | None) -> str:
    return "" if form is None else str(form)


def written_anew(name: str) -> Iterator[str]:
    """What `fuse` makes of an operator that the compiled runtime has not: rules, or patterns."""
    for rule in RULES:
        if name in rule.anchors and rule.summary.startswith(_WRITTEN_ANEW):
            yield rule.name
    if name in POINTWISE:
        yield "table"
    if name in NORMALIZATIONS:
        yield "`VitRmsNorm`"
    if name in CONSTANTS:
        yield "constant"


def _row(entry: Builtin) -> str:
    device = entry.wheel if entry.method else None
    cells = [_cell(form) for form in (entry.compiled, entry.wheel, device)]
    cells.append("" if entry.compiled else ", ".join(written_anew(entry.name)))
    return f"| {entry.name} | {' | '.join(cells)} |\n"


def page() -> str:
    """The text of docs/supported_operators.md."""
    fused = ", ".join(f"`{code}`" for code in sorted(BY_CODE))
    others = sorted(set(OPCODES) - set(TABLE) - set(_NOT_OPERATORS))
    entries = {**TABLE, **{n: Builtin(n) for n in others if any(written_anew(n))}}
    rows = "".join(_row(entries[name]) for name in sorted(entries))
    lacking = ", ".join(n for n in others if n not in entries and not n.startswith("STABLEHLO"))
    return _HEAD.format(fused=fused) + rows + _TAIL.format(names=lacking)


def _body() -> None:
    print(page(), end="")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
