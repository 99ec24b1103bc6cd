# SPDX-License-Identifier: Apache-2.0
"""Blocks with weights of 4 bits cost the search what they cost the converted network."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import stage_bits
from benchmarks.frozen.plain_files import plain_file
from benchmarks.frozen.random_archs import random_form
from converter.fuse import fuse_model
from converter.fused_ops import decoded_all
from converter.plan.model import plan_model
from converter.tflite import TfliteError, parse
from converter.weight_bits.fused import image_bytes, round_file
from converter.weight_bits.wanted import WeightBits
from keras_models.arch import ArchConfig, ArchError
from nas.cost.model import CostModel
from nas.cost.targets import Target
from nas.space import SearchSpace
from nas.space.presets import SPACES
from tflm_custom_ops.ops import operator_of

ROOT = Path(__file__).parents[3]


def of_bits(bits: list[int], seed: int = 0):
    """A random network without a stem, as many blocks as bits."""
    rng = np.random.default_rng(seed)
    while True:
        form = random_form(int(rng.integers(1 << 16)))
        arch = form.arch
        if not arch.stem and arch.depth == len(bits) and not arch.dense and arch.pool != "patches":
            return dataclasses.replace(form, arch=arch.replace(weight_bits=tuple(bits)))


@pytest.mark.parametrize("bits", [[4], [4, 8], [8, 4, 4]])
def test_bytes_and_instructions_are_those_of_the_file(bits: list[int]) -> None:
    form = of_bits(bits)
    wanted = WeightBits.of_arch(form.arch)
    fused = fuse_model(round_file(plain_file(form), wanted).model_bytes, form.residual_bits)
    planned = plan_model(fused.model_bytes, streamed=False)
    cost = CostModel(Target(), False, form.residual_bits).cost(form.arch)
    assert cost.constant_bytes == image_bytes(planned.model_bytes)
    assert cost.arena_bytes == planned.plan.arena_bytes
    ops = [op for op in decoded_all(parse(planned.model_bytes).graph) if op is not None]
    counted = sum(operator_of(op).schedule_cost.instructions for op in ops)
    assert cost.instructions == pytest.approx(counted, rel=1e-12)
    whole = CostModel(Target(), False, form.residual_bits).cost(form.arch.replace(weight_bits=()))
    assert cost.constant_bytes < whole.constant_bytes
    assert cost.instructions > whole.instructions


def test_a_network_that_fits_with_4_bits_alone_is_found() -> None:
    space = SPACES["digits_8"]
    both = SearchSpace(
        **{f.name: getattr(space, f.name) for f in dataclasses.fields(space)}
        | {"weight_bits": (4, 8)}
    )
    config = both.largest()
    assert set(config.weight_bits) == {8}
    small = dataclasses.replace(config, weight_bits=(4,) * config.depth)
    costs = [CostModel(Target()).cost(both.arch(c)) for c in (config, small)]
    limit = Target(flash_bytes=costs[1].flash_bytes)
    assert not CostModel(limit).cost(both.arch(config)).fits
    assert CostModel(limit).cost(both.arch(small)).fits


def test_networks_of_stages_cost_what_was_recorded() -> None:
    record = json.loads((ROOT / "docs" / "results" / "stage_bits.json").read_text())
    page = (ROOT / "docs" / "weight_bits.md").read_text()
    assert record["choosing"].keys() == stage_bits.CHOOSING.keys()
    for choosing, each in record["choosing"].items():
        found = each["instructions"]
        assert (each["constants_differ"], found["within_3_percent"]) == (0, 1.0)
        off = f"{100 * found['mean']:.3f} % | {100 * found['largest']:.2f} %"
        assert f"| {choosing} | {record['networks']} | 0 | {off} |" in page
        space, rng = stage_bits.space_with_bits(choosing), np.random.default_rng(record["seed"])
        arch = stage_bits.network(space, rng)
        cost = CostModel(Target(), streamed=False).cost(arch)
        assert stage_bits.stored(arch, rng) == cost.constant_bytes


def test_bits_of_blocks_that_are_not_there_are_refused() -> None:
    form = of_bits([4])
    with pytest.raises(
        TfliteError, match="got 4 bits for block 7 attention, block 7 mlp, expected it among"
    ):
        round_file(plain_file(form), WeightBits(4, blocks=frozenset([7])))
    for wrong in ((4, 8), (5,), [4]):
        with pytest.raises(ArchError, match="weight_bits"):
            form.arch.replace(weight_bits=wrong)
    assert ArchConfig.from_json(form.arch.to_json()) == form.arch
