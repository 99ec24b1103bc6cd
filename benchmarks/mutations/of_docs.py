# SPDX-License-Identifier: Apache-2.0
"""Faults of the documentation: a figure, a command, a flag, an error's text that is not there."""

from __future__ import annotations

from benchmarks.mutations.fault import Fault

_SITE = ("tests/test_site.py",)
_FIGURES = ("tests/test_figures.py",)
_COMMANDS = ("tests/tflm_vit/test_commands.py",)
_README = ("tests/test_readme.py",)

FAULTS: tuple[Fault, ...] = (
    # Figures: in a generated part, in prose, and a record that was made again.
    Fault(
        "figure of the README's table",
        "README.md",
        "| `vit_digits` | int16 | 8 | Cortex-M7 | 962,016 |",
        "| `vit_digits` | int16 | 8 | Cortex-M7 | 962,017 |",
        _README,
    ),
    Fault(
        "figure of the zoo",
        "docs/zoo.md",
        "| `vit_digits` | 962,016 |",
        "| `vit_digits` | 962,017 |",
        _SITE,
    ),
    Fault(
        "figure in prose",
        "docs/kernels.md",
        "| 117,600 | 118,160 |",
        "| 117,600 | 118,161 |",
        _FIGURES,
    ),
    # Commands and verbs.
    Fault(
        "command of a tutorial",
        "docs/first_board.md",
        "python -m converter.fuse --model=plain.tflite",
        "python -m converter.fuze --model=plain.tflite",
        _COMMANDS,
    ),
    Fault(
        "verb of the installation",
        "docs/install.md",
        "tflm-vit export --model=fused.tflite",
        "tflm-vit exports --model=fused.tflite",
        _COMMANDS,
    ),
    # Flags: in a command, in a sentence, and of the source.
    Fault(
        "flag of a tutorial's command",
        "docs/first_search.md",
        "--external_flash=0 --trials=100",
        "--external_flash=0 --tries=100",
        _COMMANDS,
    ),
    Fault(
        "flag in a sentence",
        "docs/first_board.md",
        "`--streamed` when fusing",
        "`--streaming` when fusing",
        _COMMANDS,
    ),
    Fault(
        "flag that the source renamed",
        "firmware/emulate.py",
        'FLAGS.boolean("profile", False,',
        'FLAGS.boolean("functions", False,',
        _COMMANDS,
    ),
    # Error texts: of the page, and of the source.
    Fault(
        "error that nobody says",
        "docs/troubleshooting.md",
        "### `over budget: SRAM needs",
        "### `too large: SRAM needs",
        _SITE,
    ),
    Fault(
        "error that the source says otherwise",
        "firmware/transports.py",
        'f"cannot open serial port {port}',
        'f"no such serial port {port}',
        _SITE,
    ),
    # Links.
    Fault(
        "link that leads nowhere",
        "docs/first_board.md",
        "[reports](reports.md)",
        "[reports](report.md)",
        _SITE,
    ),
)
