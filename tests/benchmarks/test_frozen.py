# SPDX-License-Identifier: Apache-2.0
"""Numbers are those of the frozen record, a part of it: `python -m benchmarks.frozen --compare`."""

import dataclasses

import pytest

from benchmarks.frozen import compare, record
from benchmarks.frozen.compare import DifferenceKind
from benchmarks.frozen.jobs import (
    CASES,
    FAULT,
    PRESET,
    RANDOM,
    fault_jobs,
    preset_jobs,
    random_jobs,
)
from benchmarks.frozen.measure import EMULATED, HOST, REFERENCE, TFLM, Arena, Outcome, measure
from converter.plan import plan_graph
from converter.plan.weightless import weightless_graph
from keras_models.presets import get_preset
from tests.recorded_compiler import recorded_compiler_only

REMEDY = "python -m benchmarks.frozen --compare names all that differs; see its last lines"
DIRECT_COUNT = 24
EMULATED_SEEDS = (5, 10)  # a Cortex-M4 board, and one with other clocks and memories
PLANNED = ("vit_t_240_int8", "vit_t_240_int16", "mcuformer_t_max_int8", "vit_digits_int8")


@pytest.fixture(scope="module")
def frozen():
    return record.read(record.RECORD)


@pytest.fixture(scope="module")
def jobs():
    return {job.name: job for job in random_jobs()}


def differences(frozen, part, jobs, outcomes):
    return [str(d) for d in compare.compare(frozen, part, jobs, outcomes)]


@pytest.mark.parametrize("seed", range(DIRECT_COUNT))
def test_a_random_network_computes_what_is_recorded(seed, frozen, jobs):
    job = jobs[f"random_{seed:03d}"]
    outcome = measure(job, (REFERENCE, HOST, TFLM))
    assert set(outcome.logits) == {REFERENCE, HOST, TFLM}
    assert not differences(frozen, RANDOM, jobs, {job.name: outcome}), REMEDY


@recorded_compiler_only()
@pytest.mark.parametrize("seed", EMULATED_SEEDS)
def test_an_emulated_network_computes_and_counts_what_is_recorded(seed, frozen, jobs):
    job = jobs[f"random_{seed:03d}"]
    outcome = measure(job, (EMULATED,))
    assert outcome.instructions
    assert not differences(frozen, RANDOM, jobs, {job.name: outcome}), REMEDY


@pytest.mark.parametrize("name", PLANNED)
def test_arena_of_a_benchmark_network_is_the_recorded_one(name, frozen):
    job = next(job for job in preset_jobs() if job.name == name)
    graph, ops = weightless_graph(get_preset(name.rsplit("_", 1)[0]), job.residual_bits)
    _, placement = plan_graph(graph, ops, streamed=job.streamed)
    recorded = frozen[record.ARENA][PRESET]["networks"][name]
    assert placement.arena_bytes[0] == recorded["arena_bytes"], REMEDY
    assert len(graph.operators) == recorded["ops_after"]


def test_counts_of_make_bench_are_the_recorded_ones(frozen):
    presets = {job.name: job for job in preset_jobs()}
    counts = record.section_of(record.INSTRUCTIONS, PRESET, presets, {})
    assert "vit_s_240_int8" in counts
    assert not differences(frozen, PRESET, presets, {}), REMEDY


def test_own_networks_agree_in_all_runtimes_and_all_are_there(frozen, jobs):
    recorded = frozen[record.LOGITS][RANDOM]["networks"]
    assert set(recorded) == set(jobs)
    for name, logits in recorded.items():
        assert set(logits) == set(jobs[name].runtimes), name
        assert len(set(logits.values())) == 1, name


# ---- the comparison itself ---------------------------------------------------------------------


@pytest.fixture
def recorded_outcome(frozen, jobs):
    """What a measurement of an emulated network gives that is exactly as recorded."""
    name = "random_005"
    arena = frozen[record.ARENA][RANDOM]["networks"][name]
    count = frozen[record.INSTRUCTIONS][RANDOM]["networks"][name][jobs[name].board]
    logits = dict(frozen[record.LOGITS][RANDOM]["networks"][name])
    plain = frozen[record.INPUTS][RANDOM][name]["plain"]
    return Outcome(plain, "", Arena(**arena), logits, count)


def compared(frozen, jobs, outcome):
    return compare.compare(frozen, RANDOM, jobs, {"random_005": outcome})


def test_one_changed_logit_is_named_with_its_size(frozen, jobs, recorded_outcome):
    assert compared(frozen, jobs, recorded_outcome) == []
    text = recorded_outcome.logits[HOST]
    changed = f"{(int(text[:2], 16) ^ 1):02x}" + text[2:]
    outcome = dataclasses.replace(
        recorded_outcome, logits=recorded_outcome.logits | {HOST: changed}
    )
    (difference,) = compared(frozen, jobs, outcome)
    assert difference.kind is DifferenceKind.CHANGED
    assert f"random_005 differs: host: 1 of {len(text) // 2} values, by up to 1" in str(difference)
    assert "Logits differ: numbers changed" in compare.verdict([difference])


def test_other_counts_with_the_same_logits_are_said_to_be_so(frozen, jobs, recorded_outcome):
    slower = dataclasses.replace(recorded_outcome, instructions=recorded_outcome.instructions * 2)
    (difference,) = compared(frozen, jobs, slower)
    assert "+100.000 %" in str(difference)
    verdict = compare.verdict([difference])
    assert "logits: as recorded" in verdict
    assert "--sections=instructions" in verdict


def test_a_runtime_that_refuses_now_is_a_difference_with_its_reason(frozen, jobs, recorded_outcome):
    outcome = dataclasses.replace(
        recorded_outcome,
        logits=recorded_outcome.logits | {EMULATED: "refused: FirmwareError"},
        instructions=None,
        messages={EMULATED: "does not fit"},
    )
    found = compared(frozen, jobs, outcome)
    assert {d.section for d in found} == {record.LOGITS, record.INSTRUCTIONS}
    assert all("does not fit" in str(d) and d.kind is DifferenceKind.CHANGED for d in found)


def test_a_known_fault_may_change(frozen):
    faults = {job.name: job for job in fault_jobs()}
    logits = frozen[record.LOGITS][FAULT]["networks"]["value_width"]
    assert logits[HOST] != logits[EMULATED]  # wrong, and silently
    right = Outcome("", "refused: TfliteError", None, {}, None)
    found = compare.compare(frozen, FAULT, faults, {"value_width": right}, (record.LOGITS,))
    assert [d.kind for d in found] == [DifferenceKind.FAULT]


def test_what_was_refused_and_runs_now_is_a_gain():
    part = {"networks": {"case": {"fuse": "refused: TfliteError"}}}
    old = {section: {CASES: part} for section in record.SECTIONS}
    old[record.INPUTS] = {CASES: {"case": {"plain": "p"}}}
    job = dataclasses.replace(fault_jobs()[0], name="case", fault="")
    outcome = Outcome("p", "", Arena(9, 3, 64, True), {REFERENCE: "00"}, None)
    found = compare.compare(old, CASES, {"case": job}, {"case": outcome}, (record.LOGITS,))
    assert [d.kind for d in found] == [DifferenceKind.GAINED]
    assert "more runs than did: case" in compare.verdict(found)


def test_a_first_count_is_a_gain_only_where_it_could_not_be_counted(frozen, jobs, recorded_outcome):
    name = "random_005"
    without = {**frozen, record.INSTRUCTIONS: {RANDOM: {"networks": {}}}}
    found = compare.compare(without, RANDOM, jobs, {name: recorded_outcome})
    assert [(d.section, d.kind) for d in found] == [(record.INSTRUCTIONS, DifferenceKind.CHANGED)]
    logits = {**recorded_outcome.logits, EMULATED: "refused: ModelError"}
    without[record.LOGITS] = {RANDOM: {"networks": {name: logits}}}
    found = compare.compare(without, RANDOM, jobs, {name: recorded_outcome})
    assert {d.kind for d in found} == {DifferenceKind.GAINED}
