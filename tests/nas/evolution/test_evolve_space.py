# SPDX-License-Identifier: Apache-2.0
"""Space evolution goes down the error; the published defects stay away."""

import dataclasses
import json
import os

import numpy as np
import pytest

from nas.cost.model import CostModel
from nas.cost.sampler import Sampler
from nas.cost.targets import Target
from nas.evolution.mcuformer import Measure, draw_walk, grid_of, objective, restricted, walk
from nas.evolution.mcuformer import record as record_walk
from nas.evolution.planes import PATCH, RATIO, Point, nearest, next_point, plane
from nas.evolution.result_cache import Remembered, claim, claimed
from nas.evolution.rounds import Errors, RoundWork, alternate
from nas.evolution.s3 import Measured, Step, et_error, moved, slope, steps_of
from nas.evolution.space_step import (
    describe_space,
    dimensions,
    draw_step,
    evolve_once,
    measure,
    moved_at_random,
    record,
    step_of,
    values_of,
)
from nas.space import SpaceError
from nas.space.presets import SPACES, get_space

# The example in a comment of the released code: percent correct, share within 320 KB.
PUBLISHED = tuple(
    Point(ratio, patch, 1 - percent / 100, legal)
    for ratio, patch, percent, legal in (
        (0.90, 16, 66.298, 0.384),
        (0.60, 16, 60.6, 0.666),
        (0.65, 28, 45.119, 1.0),
        (0.95, 28, 57.52, 1.0),
        (0.85, 20, 61.2, 1.0),
    )
)


def test_et_error():
    assert et_error([0.5, 0.3, 0.1, 0.3], 1) == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)
    assert et_error([0.5, 0.3, 0.1, 0.3], 4) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="top 5"):
        et_error([0.1], 5)


def test_errors_are_fractions_and_of_whole_splits():
    """Defect 3: 1 minus a percentage is refused, as the error of no set of images."""
    with pytest.raises(ValueError, match="expected 0 to 1"):
        et_error([1 - 66.298], 1)
    with pytest.raises(ValueError, match="expected 0 to 1"):
        et_error([66.298], 1)


def test_slope_and_plane():
    assert slope([1, 2, 4], [0.5, 0.4, 0.2]) == pytest.approx(-0.1)
    assert slope([3, 3], [0.1, 0.2]) == 0.0
    by_error = plane(PUBLISHED, [p.error for p in PUBLISHED])
    assert by_error[0] * 100 == pytest.approx(-29.7, abs=0.05)  # what the released code prints


@pytest.mark.parametrize(("w", "expected"), [(-0.25, 2), (-0.05, 0), (0.05, 0), (0.25, -2)])
def test_a_falling_error_moves_a_dimension_up(w, expected):
    """Defect 4: the released code adds the step, towards more error."""
    step = Step(tau=0.1, gamma=8, low=8, high=1000)
    assert steps_of(w, step) == -expected
    assert moved((64, 72), w, step) == (64 + 8 * expected, 72 + 8 * expected)


def test_limits_hold():
    step = Step(tau=0.1, gamma=8, low=60, high=80)
    assert moved((64, 72), -0.3, step) == (80,)
    assert moved((64, 72), 0.3, step) == (60,)


def test_the_published_example_goes_towards_less_error():
    """The released step there is -0.10 in ratio and -4 in patch for a slope of -29.7 %."""
    at = PUBLISHED[4]
    ratio, patch = next_point(PUBLISHED, at)
    by_error = plane(PUBLISHED, [p.error for p in PUBLISHED])
    by_legal = plane(PUBLISHED, [1 - p.legal for p in PUBLISHED])
    assert ratio > at.ratio
    assert RATIO.low <= ratio <= RATIO.high
    assert PATCH.low <= patch <= PATCH.high
    only_error = [Point(p.ratio, p.patch, p.error, 1.0) for p in PUBLISHED]
    step = np.subtract(next_point(only_error, only_error[4]), (at.ratio, at.patch))
    assert by_error @ step < 0
    only_legal = [Point(p.ratio, p.patch, 0.5, p.legal) for p in PUBLISHED]
    step = np.subtract(next_point(only_legal, only_legal[4]), (at.ratio, at.patch))
    assert by_legal @ step <= 0


def test_nearest_points_exist():
    """The released run ends with an IndexError when it looks for visited points."""
    assert nearest(PUBLISHED[:2], PUBLISHED[0]) == [PUBLISHED[0], PUBLISHED[1]]
    assert len(nearest(PUBLISHED, PUBLISHED[0])) == 5
    with pytest.raises(ValueError, match="visited points"):
        next_point(PUBLISHED[:2], PUBLISHED[3])


SPACE = SPACES["digits_8"]
SAMPLER = Sampler(SPACE, CostModel(Target(sram_bytes=32 * 1024)), 0)


def error_of(sign):
    """Networks whose accuracy grows (or falls) with width and MLP ratio only."""

    def accuracy(config):
        size = config.embed_dim / 48 + np.mean(config.mlp_ratio) / 4
        return 0.5 + sign * 0.2 * size

    return accuracy


@pytest.mark.parametrize("sign", [1, -1])
def test_a_space_moves_towards_its_better_networks(sign):
    measured = measure(SAMPLER, error_of(sign), 300)
    evolved = evolve_once(SPACE, measured, 60)
    change = {c.name: np.mean(c.after) - np.mean(c.before) for c in evolved.dimensions}
    assert change["embed_dim"] * sign > 0
    assert change["mlp_ratio"] * sign > 0
    again = measure(Sampler(evolved.after, SAMPLER.model, 0), error_of(sign), 300)
    errors = [et_error([m.error for m in found], 60) for found in (measured, again)]
    assert errors[1] < errors[0]


def test_a_flat_error_moves_nothing():
    measured = measure(SAMPLER, lambda config: 0.7, 40)
    evolved = evolve_once(SPACE, measured, 10)
    assert evolved.after == SPACE
    assert evolved.et_error == pytest.approx(0.3)


def test_a_dimension_that_no_measured_network_has_stays(tmp_path):
    """Heads, where all drawn networks have convolutions in that stage: it was a NaN."""
    space = get_space("hybrid_32")
    stage = dataclasses.replace(space.stages[2], blocks=("residual", "attention"))
    space = space.replace(stages=(*space.stages[:2], stage))
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(40)]
    drawn = sorted(drawn, key=lambda config: config.stages[2].blocks == "attention")

    def evolved_of(configs):
        measured = [Measured(values_of(c), 0.01 * i) for i, c in enumerate(configs)]
        return evolve_once(space, measured, 2), measured

    heads = {c.name: c for c in evolved_of(drawn[:4])[0].dimensions}["stage2.heads"]
    assert heads.slopes == ()
    assert heads.before == heads.after
    # Some have them, though not the first.
    evolved, measured = evolved_of([drawn[0], *drawn[-8:]])
    assert len({c.name: c for c in evolved.dimensions}["stage2.heads"].slopes) == 1
    draw_step(str(tmp_path / "step.png"), evolved, measured, 2)


def test_every_preset_can_move_both_ways():
    for space in SPACES.values():
        for dimension in dimensions(space):
            choices, step = dimension.choices(space), step_of(space, dimension)
            assert moved(choices, -step.tau, step)[-1] >= choices[-1]
            assert moved(choices, step.tau, step)[0] <= choices[0]


def test_record_and_plot(tmp_path):
    measured = measure(SAMPLER, error_of(1), 30)
    evolved = evolve_once(SPACE, measured, 8)
    data = json.loads(json.dumps(record(evolved, measured, 0.5)))
    assert data["before"]["embed_dim"] == list(SPACE.embed_dim)
    assert len(data["networks"]) == 30
    draw_step(str(tmp_path / "step.png"), evolved, measured, 8)
    assert (tmp_path / "step.png").read_bytes().startswith(b"\x89PNG")
    assert values_of(SPACE.largest()).keys() >= {"embed_dim", "depth", "heads/0", "mlp_ratio/2"}
    assert isinstance(measured[0], Measured)


# ---- MCUFormer's variant -------------------------------------------------------------------------

RANKED = SPACES["mcuformer_t"]


def rank_measure(accuracy, sram, space=RANKED):
    target = Target(sram_bytes=sram, flash_bytes=1 << 20, external_flash_bytes=1 << 24)
    return Measure(Sampler(space, CostModel(target, True), 1), accuracy, 6, 3)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_walk_goes_towards_less_error(sign):
    """Accuracy grows (or falls) with the rank ratio and with smaller patches."""

    def accuracy(config):
        return 0.5 + sign * (0.3 * config.rank_ratio[0] - 0.01 * config.patch.size)

    found = walk(rank_measure(accuracy, 1 << 20), 5, 12)
    start = min(found.points[: found.random], key=objective)
    end = found.points[-1]
    assert len(found.points) > found.random
    assert sign * (end.ratio - start.ratio) >= 0
    assert sign * (end.patch - start.patch) <= 0
    assert objective(end) < objective(start)
    extreme = (0.95, 16) if sign > 0 else (0.4, 32)
    assert (found.best.ratio, found.best.patch) == extreme
    assert all(p.legal == 1.0 for p in found.points)
    assert found.after.ranks.ratios == (extreme[0],)
    assert [p.size for p in found.after.patches] == [extreme[1]]
    again = walk(rank_measure(accuracy, 1 << 20), 5, 12)
    assert again == found


def test_what_does_not_fit_moves_a_walk():
    """All networks are as accurate; in 100 KB those with small patches do not fit."""
    measured, seen = rank_measure(lambda config: 0.7, 100_000), []
    grid = grid_of(RANKED)
    legal = {p.size: measured.point(grid, (0.95, p.size)).legal for p in grid.patches}
    assert legal[16] == 0.0
    assert legal[32] == 1.0

    def accuracy(config):
        seen.append(config)
        return 0.7

    found = walk(rank_measure(accuracy, 100_000), 5, 12)
    assert found.best.legal == 1.0
    assert all(measured.sampler.fits(config) for config in seen)
    nothing = [p for p in found.points if p.legal == 0.0]
    assert all(p.error == 1.0 for p in nothing)


def test_the_share_over_the_limit_counts_like_the_error():
    assert objective(Point(0.5, 16, 0.3, 0.6)) == pytest.approx(0.7)
    assert objective(Point(0.5, 16, 0.3, 0.6)) > objective(Point(0.5, 32, 0.4, 1.0))


def test_pairs_of_a_space():
    space = SPACES["mcu_32"]
    grid = grid_of(space)
    assert len({p.stem for p in grid.patches}) == 1
    assert len(grid.patches) == 2
    part = restricted(space, grid, grid.pairs[0])
    assert part.ranks.ratios == (grid.pairs[0][0],)
    config = part.sample(np.random.default_rng(0))
    space.check(config)
    assert grid.nearest(0.0, 100) == (min(grid.ratios), max(p.size for p in grid.patches))
    with pytest.raises(SpaceError, match="no rank ratios"):
        grid_of(space.replace(ranks=None))


def test_record_and_plot_of_a_walk(tmp_path):
    found = walk(rank_measure(lambda config: config.rank_ratio[0] / 2, 1 << 20), 3, 2)
    data = json.loads(json.dumps(record_walk(found)))
    assert data["algorithm"] == "mcuformer"
    assert len(data["points"]) == len(found.points)
    assert data["points"][0]["objective"] == objective(found.points[0])
    draw_walk(str(tmp_path / "walk.png"), found)
    assert (tmp_path / "walk.png").read_bytes().startswith(b"\x89PNG")


# ---- what a kill leaves --------------------------------------------------------------------------


def test_measured_accuracies_survive_a_kill(tmp_path):
    path, calls = str(tmp_path / "measured.jsonl"), []

    def accuracy(config):
        calls.append(config)
        return 0.25 + len(calls) / 64

    measured = measure(SAMPLER, Remembered(path, accuracy), 20)
    with open(path, "ab") as file:
        file.write(b'{"config": {"patch"')  # cut off
    again = measure(SAMPLER, Remembered(path, accuracy), 24)
    assert again[:20] == measured
    assert len(calls) <= 24
    assert measure(SAMPLER, Remembered(path, pytest.fail), 24) == again


def test_a_folder_belongs_to_one_setup(tmp_path):
    claim(str(tmp_path), {"seed": 1}, False)
    claim(str(tmp_path), {"seed": 1}, True)
    with pytest.raises(ValueError, match="--resume"):
        claim(str(tmp_path), {"seed": 1}, False)
    with pytest.raises(ValueError, match="another seed"):
        claim(str(tmp_path), {"seed": 2}, True)


def test_of_what_is_refused_no_claim_stays(tmp_path):
    """Else the corrected command would be one "with another dataset"."""
    out = tmp_path / "out"

    with pytest.raises(ValueError, match="no images"), claimed(str(out), {"seed": 1}, False):
        raise ValueError("no images")
    assert not out.exists()

    def interrupted():
        (out / "measured.jsonl").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), claimed(str(out), {"seed": 2}, False):
        interrupted()
    assert sorted(os.listdir(out)) == ["measured.jsonl", "setup.json"]
    (tmp_path / "file").touch()
    expected = pytest.raises(OSError, match="got a file, expected a folder")
    with expected, claimed(str(tmp_path / "file"), {}, False):
        pytest.fail("entered")


class Killed(Exception):
    pass


def alternating(folder, kill_at=None, steps=2):
    """`alternate` with a stand-in for supernets: folders that hold their space."""
    done = []

    def count(what):
        done.append(what)
        if len(done) == kill_at:
            raise Killed

    def step(supernet, place):
        path = f"{place}/evolved.json"
        space = type(SPACE).load(f"{supernet}/space.json")
        if not os.path.exists(path):
            count(os.path.basename(place))
            measured = measure(Sampler(space, SAMPLER.model, 0), error_of(1), 60)
            evolved = evolve_once(space, measured, 12)
            os.makedirs(place, exist_ok=True)
            evolved.after.save(f"{place}/space.json")
            with open(path, "w") as file:
                json.dump([evolved.et_error, evolved.mean_error, evolved.top_error, 1.0], file)
        with open(path) as file:
            return Errors(*json.load(file)), type(SPACE).load(f"{place}/space.json")

    def train(space, initial, place):
        count(os.path.basename(place))
        os.makedirs(place, exist_ok=True)
        space.save(f"{place}/space.json")
        with open(f"{place}/train.json", "w") as file:
            file.write(initial)

    first = folder.parent / "supernet"
    first.mkdir(exist_ok=True)
    SPACE.save(str(first / "space.json"))
    work = RoundWork(step, train, describe_space, moved_at_random)
    rows = alternate(work, str(first), str(folder), steps, True)
    return rows, done


def test_a_random_step_moves_as_many_dimensions():
    measured = measure(Sampler(SPACE, SAMPLER.model, 0), error_of(1), 60)
    evolved = evolve_once(SPACE, measured, 12).after
    found = {moved_at_random(SPACE, evolved, seed) for seed in range(12)}
    assert len(found) > 3

    def moves(space):
        there = {d.name: d.choices(space) for d in dimensions(space)}
        return sum(d.choices(SPACE) != there.get(d.name) for d in dimensions(SPACE))

    assert {moves(space) for space in found} == {moves(evolved)}
    assert moved_at_random(SPACE, SPACE, 0) == SPACE


def test_steps_alternate_and_go_on_after_a_kill(tmp_path):
    (tmp_path / "whole").mkdir()
    rows, done = alternating(tmp_path / "whole")
    assert done == [
        "step1", "control1", "control1_step", "random1", "random1_step", "supernet1", "step2",
        "control2", "control2_step", "random2", "random2_step", "supernet2", "step3",
    ]  # fmt: skip
    assert len(rows) == 2
    assert all(row.error_after.et_error < row.error_before.et_error for row in rows)
    assert rows[0].error_control == rows[0].error_before  # the stand-in does not learn
    assert all(row.error_random.et_error > row.error_after.et_error for row in rows)
    assert rows[0].random not in (rows[0].before, rows[0].after)
    assert rows[1].error_before == rows[0].error_after
    initial = (tmp_path / "whole" / "supernet2" / "train.json").read_text()
    assert initial.endswith("supernet1")
    assert (tmp_path / "whole" / "steps.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads((tmp_path / "whole" / "steps.json").read_text())
    assert data["steps"][1]["error_after"]["et_error"] == rows[1].error_after.et_error
    (tmp_path / "parts").mkdir()
    made = []
    for kill_at in (2, 4):
        with pytest.raises(Killed):
            made.append(alternating(tmp_path / "parts", kill_at))
    again, rest = alternating(tmp_path / "parts")
    assert again == rows
    assert rest == done[4:]


def test_a_resume_with_more_steps_measures_the_new_supernet(tmp_path):
    for name in ("two", "one_more"):
        (tmp_path / name).mkdir()
    rows, done = alternating(tmp_path / "two")
    first, begun = alternating(tmp_path / "one_more", steps=1)
    assert first == rows[:1]
    assert alternating(tmp_path / "one_more") == (rows, done[len(begun) :])
    assert alternating(tmp_path / "one_more", steps=1) == (first, [])
