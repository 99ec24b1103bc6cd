# SPDX-License-Identifier: Apache-2.0
"""What the commands of this package share: the flags that describe a target and a training."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

from boards import BOARD_HELP, get_board
from converter.code_size import ModelCall
from keras_models.tasks import CLASSIFICATION, KEYWORDS
from keras_models.training.recipe import RECIPES_OF_DATA, Recipe, parse_overrides, recipe_for
from nas.cost.complexity import LEVELS
from nas.cost.model import CostModel
from nas.cost.targets import BudgetError, Firmware, Target
from nas.supernet.data import SEARCH_FRACTION
from tflm_vit import flags
from tflm_vit.flag_set import FlagSet

# A label for each picture, and top-1: what supernets are trained for and searched by.
DATASETS = (*CLASSIFICATION.datasets, *KEYWORDS.datasets)


class Sampling(enum.Enum):
    """Which sub-networks a supernet's training step takes."""

    UNIFORM = "uniform"
    SANDWICH = "sandwich"
    COMPLEXITY = "complexity"

    @property
    def sandwich(self) -> bool:
        """As `SupernetJob` has it."""
        return self is Sampling.SANDWICH

    @property
    def levels(self) -> int | None:
        """As `SupernetJob` has it."""
        return LEVELS if self is Sampling.COMPLEXITY else None


def define_target_flags(to: FlagSet) -> None:
    """--board and what may differ from it: memories, clock; limits; form of the network."""
    flags.board(to, f"Its memories and clock are the limits; with --sram too. {BOARD_HELP}")
    flags.sram(to)
    flags.flash(to)
    flags.external_flash(to)
    flags.clock_hz(to)
    flags.latency_ms(to)
    flags.streamed(to)
    flags.residual_bits(to)


def cost_model(given: FlagSet) -> CostModel:
    """The cost model that the flags describe.

    Raises:
      BudgetError: the SRAM does not even hold the firmware's own data.
    """
    base = Target.of_board(get_board(given.board)) if given.board else Target()
    external = base.external_flash_bytes if given.external_flash is None else given.external_flash
    if given.flash and base.flash_bytes and given.flash > base.flash_bytes:
        raise BudgetError(
            f"--flash={given.flash}: expected at most {base.flash_bytes}, the flash of {base.name}"
        )
    target = dataclasses.replace(
        base,
        sram_bytes=given.sram,
        flash_bytes=given.flash or base.flash_bytes,
        external_flash_bytes=external or None,
        clock_hz=given.clock_hz,
        latency_ms=given.latency_ms,
    )
    firmware = Firmware(calls=(ModelCall("", (), ""),), row_bytes=1, streamed=given.streamed)
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
    return CostModel(target, given.streamed, int(given.residual_bits))


def define_training_flags(to: FlagSet) -> None:
    """How a supernet is trained, but for the number of epochs."""
    flags.batch_size(to)
    flags.recipe_fields(to)
    to.enum(
        "sampling",
        "uniform",
        [sampling.value for sampling in Sampling],
        "Sub-networks of a step: one that fits; the largest, smallest and two; one near the last "
        "step's in size.",
    )
    flags.distill(to)
    flags.checkpoint_every(to)


def expect_share(given: FlagSet, teacher: str = "") -> None:
    """Refuses a share in the loss of nobody, and a teacher without one: both went unheard.

    Raises:
      ValueError: what to give beside.
    """
    if teacher and not given.distill:
        raise ValueError("--teacher needs --distill=0.5, its share of the loss")
    if given.distill and not teacher and not Sampling(given.sampling).sandwich:
        raise ValueError(
            "--distill needs --teacher=FOLDER of nas.train_supernet, or --sampling=sandwich, whose "
            "largest network the others imitate"
        )


def algorithm(to: FlagSet, names: Sequence[str], text: str) -> None:
    to.enum("algorithm", names[0], names, text)


def supernet(to: FlagSet, text: str = "", required: bool = True) -> None:
    what = "Folder that nas.train_supernet wrote."
    to.string("supernet", "", f"{what} {text}".strip(), required)


def storage(to: FlagSet, text: str) -> None:
    to.string("storage", "", f"Optuna database URL or journal file of the search. {text}")


def found(to: FlagSet, text: str = "") -> None:
    to.string("found", "", f"Folder that nas.search wrote. {text}".strip())


def trials(
    to: FlagSet,
    default: int = 400,
    text: str = "Networks to evaluate, all workers together.",
    low: int = 1,
) -> None:
    to.integer("trials", default, text, low)


def population(to: FlagSet, default: int) -> None:
    to.integer("population", default, "Networks of a generation.", 2)


def space(to: FlagSet) -> None:
    to.string("space", "mcu_32", "Search space: a name or a JSON file.")


def search_data_flags(to: FlagSet) -> None:
    """Data set, its folder, and how it is split for a search."""
    flags.dataset(to, DATASETS, "Data set of the supernet's training.", "digits")
    flags.data_dir(to)
    flags.allow_other_data(to)
    to.number("search_fraction", SEARCH_FRACTION, "Share of training images for the search.", 0, 1)


def recipe_of_flags(given: FlagSet) -> Recipe:
    """The data set's recipe with the changes of --set, --epochs and --batch_size.

    No drop path and no mixing across sub-networks' labels: a supernet underfits as it is.
    """
    changes = parse_overrides(given.set)
    for name in ("epochs", "batch_size"):
        if given[name].value is not None:
            changes[name] = given[name].value
    base = RECIPES_OF_DATA.get(given.dataset) or recipe_for("vit_micro_32")
    return dataclasses.replace(base, **{"drop_path": 0.0, **changes})
