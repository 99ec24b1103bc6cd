# SPDX-License-Identifier: Apache-2.0
"""The record of an evolution of `hybrid_32`: E-T errors before and after two steps, with a control.

    python -m nas.train_supernet --space=benchmarks/spaces/hybrid_32_residual.json \\
        --dataset=image_folder --data_dir=IMAGES --sram=65536 --flash=1048576 \\
        --external_flash=0 --epochs=4 --out=SUPERNET ...
    python -m nas.evolve_space --supernet=SUPERNET --dataset=image_folder --data_dir=IMAGES \\
        --sram=65536 --flash=1048576 --external_flash=0 --steps=2 --epochs=1 --control \\
        --samples=32 --top=8 --count=1000 --out=EVOLVED --json=STEPS ...
    python -m benchmarks.space_evolution --supernet=SUPERNET --evolution_steps=STEPS \\
        --cpu_seconds=N --out=docs/results/space_evolution.json

The space is `hybrid_32` with residual convolutions alone (one compiled step instead of four), its
IMAGES every fifth of CIFAR-10's training images (12,000 with validation, 2,160 of them for the
search). After each step the supernet of the moved space is trained for an epoch from the weights of
the one before, and so is the old space's, as long and on the same images: what the step brought is
the difference of the two.

Predicted before it was run: the training takes 2 to 4 points of E-T error off in each step, with
either space; the moved space is better than the old one by less than a point, wider where widths
move, and one of the two steps may show the other sign: 32 networks on 1,000 images tell half a
point.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from typing import Any

from benchmarks.versions import SEARCH_PACKAGES, versions_of
from nas import command as shared
from nas.supernet.files import TRAIN_FILE
from tflm_vit import flags
from tflm_vit.files import read_json, write_json
from tflm_vit.run import run

FLAGS = flags.FlagSet("space_evolution", __doc__)
shared.supernet(FLAGS)
FLAGS.string("evolution_steps", "", "File that nas.evolve_space --json wrote.", required=True)
FLAGS.integer("cpu_seconds", None, "That the evolution took.", 1)
flags.out(FLAGS, "File of the record.")


def without_folders(command: str) -> str:
    """--out=/a/b/c -> --out=c, so that a record names no machine's folders."""
    words = []
    for word in shlex.split(command):
        flag, separator, value = word.partition("=")
        words.append(f"{flag}{separator}{os.path.basename(value)}" if "/" in value else word)
    return shlex.join(words)


def record(trained: dict[str, Any], steps: dict[str, Any], cpu_seconds: int | None) -> Any:
    """What is kept of both commands' files."""
    kept = ("seed", "epochs", "steps", "seconds", "images", "networks")
    return {
        "command": without_folders(steps["command"]),
        "versions": versions_of(*SEARCH_PACKAGES),
        "cpu_seconds": cpu_seconds,
        "supernet": {
            "command": without_folders(trained["command"]),
            **{name: trained[name] for name in kept},
        },
        "steps": steps["steps"],
    }


def _body() -> None:
    trained = read_json(os.path.join(FLAGS.supernet, TRAIN_FILE))
    found = record(trained, read_json(FLAGS.evolution_steps), FLAGS.cpu_seconds)
    write_json(FLAGS.out, found)
    for number, step in enumerate(found["steps"], 1):
        errors = {
            name: value["et_error"] for name, value in step.items() if isinstance(value, dict)
        }
        print(number, json.dumps(errors))


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
