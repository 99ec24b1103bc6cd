# SPDX-License-Identifier: Apache-2.0
"""A command for test_kills.py: writes a file in one step, or in several, then a second one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tflm_vit.files import write_atomic, write_json


def main(argv: list[str]) -> None:
    """The words: folder, `whole` or `parts`, and `--resume` behind them."""
    folder, how = Path(argv[0]), argv[1]
    folder.mkdir(exist_ok=True)
    first = folder / "first"
    if how == "whole":
        write_atomic(first, b"ab")
    elif not first.exists():  # takes what a kill left for the whole
        for letter in (b"a", b"b"):
            with open(first, "ab") as file:
                file.write(letter)
    write_json(folder / "second.json", {"seconds": os.getpid(), "size": first.stat().st_size})
    if how == "refuses" and "--resume" in argv:
        sys.exit("nothing to resume")
