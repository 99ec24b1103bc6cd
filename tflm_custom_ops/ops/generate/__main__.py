# SPDX-License-Identifier: Apache-2.0
"""``python -m tflm_custom_ops.ops.generate``: writes the generated files of this checkout."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tflm_custom_ops.ops.generate.files import generated_files, same_text
from tflm_vit import flags
from tflm_vit.files import write_atomic
from tflm_vit.run import run

FLAGS = flags.FlagSet("generate", __doc__)

ROOT = Path(__file__).resolve().parents[3]


def _formatted(path: Path, text: str) -> str:
    """C in the style of .clang-format, where the program is there."""
    if path.suffix not in (".c", ".cc", ".h") or shutil.which("clang-format") is None:
        return text
    command = ["clang-format", f"--assume-filename={path}"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return done.stdout


def _body() -> None:
    for name, text in generated_files(ROOT).items():
        path = ROOT / name
        if not path.is_file() or not same_text(path.read_text(encoding="utf-8"), text):
            write_atomic(path, _formatted(path, text).encode())
            print(f"wrote {name}")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
