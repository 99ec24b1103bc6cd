# SPDX-License-Identifier: Apache-2.0
"""Counts equal enumeration; published figures; impossible budgets; the report command."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from nas.cost import published
from nas.cost.census import check_possible, take_census
from nas.cost.model import CostModel
from nas.cost.targets import KIB, BudgetError, Target
from nas.space import Patch, RankRule, SubnetConfig
from nas.space.presets import SPACES
from tests.commands import run_here
from tests.nas.space.test_space import enumerate_all, tiny

SPACE = tiny(ranks=RankRule((0.25, 1.0)), head_dim=8, embed_dim=(8, 16))


def limits(model):
    """SRAM and constants at which some networks fit and others do not."""
    costs = [model.cost(SPACE.arch(c)) for c in enumerate_all(SPACE)]
    least = [
        dataclasses.replace(model, target=Target(sram_bytes=1)).cost(SPACE.arch(c)).sram_bytes
        for c in enumerate_all(SPACE)
    ]
    return [
        (int(np.quantile(least, q)), int(np.quantile([c.constant_bytes for c in costs], r)))
        for q in (0.0, 0.3, 0.7)
        for r in (0.001, 0.4, 0.8, 1.0)
    ]


@pytest.mark.parametrize("streamed", [True, False])
def test_census_equals_enumeration(streamed):
    every = list(enumerate_all(SPACE))
    partial = 0
    for sram, constants in limits(CostModel(Target(), streamed)):
        target = Target(sram_bytes=sram, flash_bytes=40 * KIB + constants)
        model = CostModel(target, streamed)
        costs = {c: model.cost(SPACE.arch(c)) for c in every}
        census = take_census(SPACE, model)
        fit = [c for c, k in costs.items() if k.fits]
        assert census.total == len(every)
        assert census.fit_sram == sum("SRAM" not in k.excess for k in costs.values())
        assert census.fit_flash == sum("flash" not in k.excess for k in costs.values())
        assert census.fit_both == len(fit)
        partial += 0 < len(fit) < len(every)
        if fit:
            assert costs[census.largest].fits
            assert costs[census.largest].params == max(costs[c].params for c in fit)
        else:
            assert census.largest is None
        light = min(k.constant_bytes for k in costs.values())
        assert costs[census.least_flash].constant_bytes == light
    assert partial >= 3


def test_census_counts_the_code_of_each_network():
    """Blocks of 4 bits bring a kernel along: at every limit that some network just fits."""
    space = tiny(patches=(Patch(4),), embed_dim=(8,), weight_bits=(4, 8))
    every = {c: CostModel(Target()).cost(space.arch(c)) for c in enumerate_all(space)}
    code = {k.flash_bytes - k.constant_bytes for k in every.values()}
    assert len(code) == 4  # by depth and bits
    sizes = sorted({k.flash_bytes for k in every.values()})
    for limit in (*sizes[::4], *(size - 1 for size in sizes[::4])):
        model = CostModel(Target(flash_bytes=limit))
        census = take_census(space, model)
        fit = [c for c, k in every.items() if k.flash_bytes <= limit]
        assert census.fit_both == census.fit_flash == len(fit)
        assert (census.largest in fit) == bool(fit)
        if fit:
            assert every[census.largest].params == max(every[c].params for c in fit)


def test_nothing_of_mcuformer_fits_one_megabyte():
    """Of its smallest and largest choices: the least constants are among them."""
    whole = SPACES["mcuformer_t"]
    assert whole.ranks is not None
    ratios = (min(whole.ranks.ratios), max(whole.ranks.ratios))
    space = whole.replace(
        patches=tuple(p for p in whole.patches if p.size in (16, 32)),
        ranks=dataclasses.replace(whole.ranks, ratios=ratios),
    )
    model = CostModel(Target(sram_bytes=320 * KIB, flash_bytes=1024 * KIB))
    with pytest.raises(BudgetError, match=r"2,929,336 parameters\); weights in external QSPI"):
        check_possible(space, model)
    external = Target(sram_bytes=320 * KIB, flash_bytes=1024 * KIB, external_flash_bytes=1 << 24)
    census = check_possible(space, CostModel(external))
    assert census.fit_both == census.total == space.size
    assert census.largest == dataclasses.replace(space.largest(), patch=Patch(32))


def test_too_little_sram_is_refused_with_the_least():
    space = SPACES["mcu_32"]
    with pytest.raises(BudgetError, match=r"least SRAM is [\d,]+ bytes") as caught:
        check_possible(space, CostModel(Target(sram_bytes=10_000), False))
    least = int(str(caught.value).split("least SRAM is ")[1].split(" ")[0].replace(",", ""))
    assert take_census(space, CostModel(Target(sram_bytes=least), False)).fit_both > 0
    assert take_census(space, CostModel(Target(sram_bytes=least - 1), False)).fit_both == 0


def test_impossible_latency_is_refused():
    for sram in (None, 9000):
        free = CostModel(Target(sram_bytes=sram))
        costs = [free.cost(SPACE.arch(c)) for c in enumerate_all(SPACE)]
        fastest = min(k.latency_ms for k in costs)
        bound = take_census(SPACE, free).least_latency_ms
        assert bound <= fastest * (1 + 1e-9)
        assert bound > 0.9 * fastest
        check_possible(SPACE, CostModel(Target(sram_bytes=sram, latency_ms=fastest * 1.001)))
        with pytest.raises(BudgetError, match="the fastest is estimated at"):
            check_possible(SPACE, CostModel(Target(sram_bytes=sram, latency_ms=bound * 0.99)))


@pytest.mark.parametrize(
    ("config", "millions"),
    [
        ((168, 12, 3.5, 3, 0.40, 16), 3.38),
        ((192, 12, 4.0, 3, 0.70, 20), 7.34),
        ((192, 12, 4.0, 3, 0.85, 20), 9.10),
        ((192, 12, 4.0, 3, 0.90, 16), 9.63),
        ((216, 14, 4.0, 4, 0.95, 16), 14.56),
    ],
)
def test_published_parameters(config, millions):
    dim, depth, mlp, heads, rank, patch = config
    subnet = SubnetConfig(Patch(patch), dim, (heads,) * depth, (mlp,) * depth, (rank,) * depth)
    count = published.parameters(SPACES["mcuformer_t"], subnet)
    assert count / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize(
    ("ratio", "patch", "share"),
    [(0.90, 16, 1 / 3), (0.60, 16, 2 / 3), (0.65, 28, 1), (0.95, 28, 1), (0.85, 20, 1)],
)
def test_published_memory_model(ratio, patch, share):
    found = published.legal_share(SPACES["mcuformer_t"], ratio, patch, 320 * KIB)
    assert float(found) == pytest.approx(share, abs=1e-3)


def test_published_memory_of_single_networks():
    def kib(dim, ratio, patch):
        config = SubnetConfig(Patch(patch), dim, (3,), (4.0,), (ratio,))
        return published.peak_bytes(SPACES["mcuformer_t"], config) / KIB

    assert [round(kib(c, 0.9, 16), 1) for c in (168, 192, 216)] == [284.6, 341.5, 402.4]
    assert round(kib(216, 0.65, 28), 1) == 197.0


def command(*arguments):
    return run_here("nas.report", *arguments)


def test_report_command(tmp_path):
    out = tmp_path / "report.json"
    words = ["--space=mcu_32", "--sram=49152", "--flash=524288", f"--json={out}"]
    run = [sys.executable, "-m", "nas.report", *words]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{SPACES['mcu_32'].size:,} networks" in done.stdout
    report = json.loads(out.read_text())
    assert report["command"].startswith("python -m nas.report --space=mcu_32 --sram=49152")
    rows = report["rows"]
    assert [row["streamed"] for row in rows] == [True, False]
    assert 0 < rows[0]["share_both"] < 1
    assert rows[0]["largest"]["sram_bytes"] <= 49152


def test_a_slower_clock_is_a_longer_time(tmp_path):
    def latency(*arguments):
        out = tmp_path / "report.json"
        done = command("--space=digits_8", "--streamed", *arguments, f"--json={out}")
        assert done.returncode == 0, done.stderr
        return json.loads(out.read_text())["rows"][0]["largest"]["latency_ms"]

    board = "--board=stm32f746g_disco"
    # Four times the cycles' time; the flash, which has a clock of its own, is no slower.
    assert 3.8 * latency(board) < latency(board, "--clock_hz=54000000") < 4 * latency(board)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space=nothing"], "neither a file nor one of"),
        (["--space=mcu_32", "--sram=4190"], "more than the firmware's"),
        (["--space=mcu_32", "extra"], "unexpected argument"),
    ],
)
def test_report_errors_are_one_line(arguments, message):
    done = command(*arguments)
    assert done.returncode != 0
    assert message in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
