# SPDX-License-Identifier: Apache-2.0
"""What the commands of this package share: the flags that describe a target and a training."""

from __future__ import annotations

import dataclasses

from absl import flags

from boards import BOARD_HELP, get_board
from keras_models.training.recipe import DIGITS, Recipe, parse_overrides, recipe_for
from nas.cost.model import CostModel
from nas.cost.targets import BudgetError, Firmware, Target
from tflm_vit.files import write_json
from tflm_vit.run import run

__all__ = [
    "FLAGS",
    "cost_model",
    "define_target_flags",
    "define_training_flags",
    "recipe_of_flags",
    "run",
    "write_json",
]

FLAGS = flags.FLAGS


def define_target_flags() -> None:
    """--board and what may differ from it: memories, clock; limits; form of the network."""
    flags.DEFINE_string("board", None, f"memories and clock; {BOARD_HELP}")
    flags.DEFINE_integer("sram", None, "SRAM in bytes; with --board its regions hold as well", 1)
    flags.DEFINE_integer("flash", None, "internal flash in bytes; with --board at most its own", 1)
    flags.DEFINE_integer(
        "external_flash", None, "memory-mapped flash for the weights in bytes; 0: not used", 0
    )
    flags.DEFINE_integer("clock_hz", None, "of the core, instead of the board's", lower_bound=1)
    flags.DEFINE_float("latency_ms", None, "limit of the estimated latency", lower_bound=0.0)
    flags.DEFINE_boolean("streamed", True, "image in rows; networks with a stem: always resident")
    flags.DEFINE_enum("residual_bits", "8", ["8", "16"], "of the residual stream")


def cost_model() -> CostModel:
    """The cost model that the flags describe.

    Raises:
      BudgetError: the SRAM does not even hold the firmware's own data.
    """
    base = Target.of_board(get_board(FLAGS.board)) if FLAGS.board else Target()
    external = base.external_flash_bytes if FLAGS.external_flash is None else FLAGS.external_flash
    if FLAGS.flash and base.flash_bytes and FLAGS.flash > base.flash_bytes:
        raise BudgetError(
            f"--flash={FLAGS.flash}: expected at most {base.flash_bytes}, the flash of {base.name}"
        )
    target = dataclasses.replace(
        base,
        sram_bytes=FLAGS.sram,
        flash_bytes=FLAGS.flash or base.flash_bytes,
        external_flash_bytes=external or None,
        clock_hz=FLAGS.clock_hz,
        latency_ms=FLAGS.latency_ms,
    )
    firmware = Firmware(operators=1, row_bytes=1, streamed=FLAGS.streamed)
    least = target.overhead_bytes(firmware)
    if target.arena_bytes(firmware) == 0 and target.sram_bytes is None:
        raise BudgetError(
            f"{target.name}: no room for an arena in {target.describe_sram()}, beside stack "
            f"{target.stack_bytes} and static data {least - target.stack_bytes} bytes"
        )
    if target.sram_bytes is not None and target.sram_bytes <= least:
        raise BudgetError(
            f"SRAM of {target.sram_bytes} bytes: expected more than the firmware's {least} (stack "
            f"{target.stack_bytes}, static data {least - target.stack_bytes})"
        )
    return CostModel(target, FLAGS.streamed, int(FLAGS.residual_bits))


def define_training_flags() -> None:
    """How a supernet is trained, but for the number of epochs."""
    flags.DEFINE_integer("batch_size", None, "short for --set=batch_size=N", lower_bound=1)
    flags.DEFINE_multi_string("set", [], "recipe field, FIELD=VALUE; may be repeated")
    flags.DEFINE_enum("sampling", "uniform", ["uniform", "sandwich"], "sub-networks of a step")
    flags.DEFINE_float("distill", 0.0, "share of imitation in the loss (sandwich or --teacher)")
    flags.DEFINE_integer("checkpoint_every", 1, "epochs between checkpoints", lower_bound=1)


def recipe_of_flags(dataset: str) -> Recipe:
    """The data set's recipe with the changes of --set, --epochs and --batch_size.

    No drop path and no mixing across sub-networks' labels: a supernet underfits as it is.
    """
    changes = parse_overrides(FLAGS.set)
    for name in ("epochs", "batch_size"):
        if FLAGS[name].value is not None:
            changes[name] = FLAGS[name].value
    base = DIGITS if dataset == "digits" else recipe_for("vit_micro_32")
    return dataclasses.replace(base, **{"drop_path": 0.0, **changes})
