# SPDX-License-Identifier: Apache-2.0
"""`python -m firmware.build`: a fused `.tflite` becomes a firmware image for a board.

    python -m firmware.build --model=fused.tflite --board=stm32f746g_disco --out=firmware.elf

Writes the ELF, and beside it the linker's map with the ending .map. `firmware.emulate --elf` and
`firmware.client --elf` run it; OpenOCD and the like flash it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from boards import BOARD_HELP, get_board
from firmware.command import harness_flag, runtime_flag, timestamp_pin_flag
from firmware.model import build_model, named_model
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run

FLAGS = flags.FlagSet("build", __doc__)
_MODEL = flags.model(FLAGS, "Fused and planned .tflite.")
_BOARD = flags.board(FLAGS, BOARD_HELP, "stm32f746g_disco")
_RUNTIME = runtime_flag(FLAGS)
_HARNESS = harness_flag(FLAGS)
_PIN = timestamp_pin_flag(FLAGS)
_WEIGHTS_IN = flags.weights_in(FLAGS)
_OUT = flags.out(FLAGS, "File for the image.")
_JSON = flags.json(FLAGS)


def _body() -> None:
    board = get_board(_BOARD.value)
    expect_writable(_OUT.value, str(Path(_OUT.value).with_suffix(".map")), _JSON.value)
    with named_model(_MODEL.value) as model:
        use = build_model(
            model,
            board,
            Path(_OUT.value),
            weights_in=_WEIGHTS_IN.value,
            runtime=_RUNTIME.value,
            harness=_HARNESS.value,
            timestamp_pin=_PIN.value,
        )
    figures = dataclasses.asdict(use)
    if _JSON.value:
        write_json(_JSON.value, {"board": board.name, "memory": figures})
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):<24}{value:>12,}")
    print(f"{_OUT.value}: firmware for {board.name}; next: python -m firmware.emulate --elf=...")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
