# SPDX-License-Identifier: Apache-2.0
"""What the commands of this package share: flags about images of a firmware."""

from __future__ import annotations

from firmware.harness import BENCHMARKS
from firmware.model import RUNTIME_COMPILED, RUNTIMES
from tflm_vit import flags
from tflm_vit.flags import Flag, FlagSet


def elf_flag(to: FlagSet, text: str) -> Flag[str]:
    """A firmware image, as `firmware.build` makes it."""
    return to.string("elf", "", text)


def runtime_flag(to: FlagSet) -> Flag[str]:
    """What runs the model on the board."""
    text = "What runs the model on the board; tflm needs TFLM_DIR."
    return flags.runtime(to, RUNTIMES, RUNTIME_COMPILED, text)


def harness_flag(to: FlagSet) -> Flag[str]:
    """Whom the firmware talks to."""
    text = "Talk to MLPerf Tiny's runner, as a device of this benchmark, instead of the client."
    return to.enum("harness", "", tuple(BENCHMARKS), text)


def timestamp_pin_flag(to: FlagSet) -> Flag[str]:
    """The pin of energy mode."""
    text = "Of --harness in energy mode, whose falling edges are times, e.g. PC6; an STM32's."
    return to.string("timestamp_pin", "", text)
