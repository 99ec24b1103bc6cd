# SPDX-License-Identifier: Apache-2.0
"""The validator rejects every deliberately broken plan."""

import dataclasses
import random

import pytest

from converter.plan import heuristic
from converter.plan.problem import Buffer, Overwrite, PlanError, PlanRegion, Problem
from converter.plan.validate import validate, violations
from tests.converter.plan.plan_problems import random_problem

PROBLEM = Problem(
    (
        Buffer("image", 1600, 0, 2),
        Buffer("tokens", 800, 1, 3),
        Buffer("next", 800, 2, 4),
        Buffer("scratch", 320, 2, 3),
        Buffer("other", 16, 0, 4, offset=2400),
    ),
    (Overwrite("image", "tokens", 96), Overwrite("tokens", "next")),
    (PlanRegion("sram", 2416),),
)
GOOD = (96, 0, 0, 800, 2400)

BROKEN = {
    "image closer than the margin": (80, 0, 0, 800, 2400),
    "tokens after the image's start": (0, 96, 96, 1600, 2400),
    "next overlaps tokens at another offset": (96, 0, 16, 1200, 2400),
    "scratch inside tokens": (96, 0, 0, 784, 2400),
    "scratch inside both, at the end": (96, 0, 0, 0, 2400),
    "misaligned": (96, 0, 0, 808, 2400),
    "negative": (96, -16, 0, 800, 2400),
    "beyond the region": (96, 0, 0, 2112, 2400),
    "image over the fixed buffer": (816, 0, 0, 800, 2400),
    "fixed buffer moved": (96, 0, 0, 800, 2384),
    "an offset missing": GOOD[:-1],
    "an offset too many": (*GOOD, 0),
}


def test_the_good_plan_passes():
    assert violations(PROBLEM, GOOD) == []


@pytest.mark.parametrize("name", BROKEN)
def test_broken_plans_are_rejected(name):
    with pytest.raises(PlanError, match="unsafe plan"):
        validate(PROBLEM, BROKEN[name])


def test_the_last_byte_is_within_the_region():
    """Where nothing else lies that the buffer could run into."""
    problem = Problem((Buffer("a", 64, 0, 1),), (), (PlanRegion("sram", 80),))
    assert violations(problem, (16,)) == []
    with pytest.raises(PlanError, match=r"got bytes \[32, 96\), expected within \[0, 80\) of sram"):
        validate(problem, (32,))


def test_overwriting_must_be_declared():
    with pytest.raises(PlanError, match="share bytes"):
        validate(dataclasses.replace(PROBLEM, overwrites=PROBLEM.overwrites[:1]), GOOD)


def test_overwriting_is_only_safe_in_the_last_step():
    longer = tuple(
        dataclasses.replace(b, upper=3) if b.id == "image" else b for b in PROBLEM.buffers
    )
    with pytest.raises(PlanError, match="one common step"):
        dataclasses.replace(PROBLEM, buffers=longer)
    # Even if such a problem were made, the validator does not trust the declaration.
    forged = dataclasses.replace(PROBLEM, overwrites=())
    forged.__dict__["buffers"] = longer
    forged.__dict__["overwrites"] = PROBLEM.overwrites
    assert any("image" in v and "tokens" in v for v in violations(forged, GOOD))


def test_what_lives_in_one_step_only_is_not_overwritten_in_it():
    """Scratch that the operator uses all along, declared as if its output could replace it."""
    buffers = (Buffer("scratch", 64, 1, 2), Buffer("output", 64, 1, 3))
    forged = Problem(buffers)
    forged.__dict__["overwrites"] = (Overwrite("scratch", "output"),)
    assert violations(forged, (0, 0))
    assert not violations(forged, (0, 64))


def test_moving_any_buffer_onto_a_live_one_is_rejected():
    """Random plans, each broken by moving one buffer onto another that is live with it."""
    broken = 0
    for seed in range(300):
        rng = random.Random(seed)
        problem = random_problem(seed, with_overwrites=False)
        offsets = list(heuristic.search(problem, iterations=5).offsets)
        pairs = [
            (i, j)
            for i, a in enumerate(problem.buffers)
            for j, b in enumerate(problem.buffers)
            if i != j and a.lower < b.upper and b.lower < a.upper and a.size_bytes and b.size_bytes
        ]
        if not pairs:
            continue
        i, j = rng.choice(pairs)
        offsets[i] = offsets[j]
        assert violations(problem, offsets), (seed, i, j)
        broken += 1
    assert broken > 200


def test_validation_agrees_with_a_byte_map():
    """Without overwriting: valid exactly if no byte has two owners in any step."""
    agree = {True: 0, False: 0}
    for seed in range(300):
        rng = random.Random(seed)
        problem = random_problem(seed, most_buffers=5, with_overwrites=False)
        top = sum(b.size_bytes for b in problem.buffers) + 1
        offsets = [rng.randrange(0, top, b.alignment) for b in problem.buffers]
        owners: dict[tuple[int, int], int] = {}
        clash = False
        for i, b in enumerate(problem.buffers):
            for t in range(b.lower, b.upper):
                for byte in range(offsets[i], offsets[i] + b.size_bytes):
                    clash |= owners.setdefault((t, byte), i) != i
        assert (violations(problem, offsets) != []) == clash
        agree[clash] += 1
    assert min(agree.values()) > 30
