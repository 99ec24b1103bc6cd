# SPDX-License-Identifier: Apache-2.0
"""Mutants of what this toolkit adds to a file reach the checks behind the first ones."""

from __future__ import annotations

import random

import pytest

from benchmarks.frozen.plain_files import plain_file
from benchmarks.fuzz import mutate, mutate_own
from benchmarks.fuzz.command_files import FORMS
from converter.fuse import fuse_model
from converter.plan import PlanError
from converter.plan.metadata import parsed_plan
from converter.plan.model import plan_model
from converter.plan.stored import plan_of
from converter.tflite import parse


@pytest.fixture(scope="module")
def planned() -> bytes:
    return plan_model(fuse_model(plain_file(FORMS[2])).model_bytes).model_bytes


def test_moved_tensors_are_seen_by_the_plan_s_check_alone(planned: bytes) -> None:
    """Both entries agree and name the graph: only lifetimes, sizes or the arena are wrong."""
    said = set()
    for seed in range(12):
        tree = mutate.unpack(planned)
        mutate_own.plan_moved(random.Random(seed), tree)
        with pytest.raises(PlanError) as error:
            plan_of(parse(mutate.pack(tree)))
        said.add(str(error.value).split(":")[0])
    assert not any("OfflineMemoryAllocation" in text for text in said)


def test_a_plan_may_be_made_for_the_changed_graph(planned: bytes) -> None:
    tree = mutate.unpack(planned)
    op = next(op for op in tree.subgraphs[0].operators if op.customOptions is not None)
    op.customOptions = [*op.customOptions[:-4], 9, 9, 9, 9]
    changed = mutate.pack(tree)
    signed = mutate_own.plan_made_for_it(tree, changed, mutate.pack)
    with pytest.raises(PlanError, match="made for another graph"):
        parsed_plan(parse(changed))
    parsed_plan(parse(signed))


def test_every_own_change_changes_a_planned_network(planned: bytes) -> None:
    """None of them gives up on how a buffer's data are held."""
    for change in set(mutate_own.MUTATIONS):
        trees = [mutate.unpack(planned) for _ in range(3)]
        for seed, tree in enumerate(trees):
            change(random.Random(seed), tree)
        assert any(mutate.pack(tree) != planned for tree in trees), change.__name__
