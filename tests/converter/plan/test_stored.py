# SPDX-License-Identifier: Apache-2.0
"""A plan that was changed after planning is refused, whichever word, by whoever reads it."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

import numpy as np
import pytest

from converter.compile import CompileError
from converter.inspect.report import inspect_model
from converter.plan import PlanError, metadata, plan_model, read_plan
from converter.plan.device import device_plan
from converter.plan.metadata import HEADER_WORDS, PLAN_NAME
from converter.plan.offline import OFFLINE_NAME
from converter.plan.stored import check_plans
from converter.runtimes.host import HostModel
from converter.runtimes.tflm.errors import TflmModelError
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.tflite import Metadata, Model, parse, serialize
from keras_models.presets import PRESETS
from tests.converter.fuse.blocks import mlp, token_input
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.plan.vit_models import fused_model

# Words of VitPlan.
LOWER_BOUND, STRIP_OFFSET = 5, 6


def plain() -> bytes:
    g = PlainGraph(np.random.default_rng(1))
    return g.finish(mlp(g, token_input(g, 4, 6)))


def with_entry(model: Model, name: str, data: bytes | None) -> Model:
    """The model with other bytes in an entry, or without it."""
    others = tuple(m for m in model.metadata if m.name != name)
    added = () if data is None else (Metadata(name, data),)
    return dataclasses.replace(model, metadata=(*others, *added))


def words_of(model: Model, name: str) -> list[int]:
    (data,) = (m.data for m in model.metadata if m.name == name)
    return list(struct.unpack(f"<{len(data) // 4}i", data))


def changes(words: list[int]) -> Iterator[tuple[int, list[int]]]:
    """(word, all words with that one changed): shifted, odd, absent, small."""
    for i, word in enumerate(words):
        for value in {word + 16, word ^ 1, -1, 8} - {word}:
            yield i, [*words[:i], value, *words[i + 1 :]]


CONTENTS = {
    "resident": lambda: plan_model(fused_model(PRESETS["test_tiny"])).model_bytes,
    "streamed": lambda: plan_model(fused_model(PRESETS["test_tiny"]), streamed=True).model_bytes,
    "plain": lambda: plan_model(plain()).model_bytes,
}


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("name", [PLAN_NAME, OFFLINE_NAME])
def test_every_changed_word_is_refused(kind: str, name: str) -> None:
    model = parse(CONTENTS[kind]())
    check_plans(model)
    words = words_of(model, name)
    taken = []
    for place, changed in changes(words):
        data = struct.pack(f"<{len(changed)}i", *changed)
        try:
            check_plans(with_entry(model, name, data))
        except PlanError:
            continue
        taken.append((place, words[place], changed[place]))
    if name == PLAN_NAME:
        # A lower bound between what is known and the arena is a claim, and decides nothing; strip
        # and scratch, which TFLM's entry does not have, may move where bytes are free.
        first = HEADER_WORDS + 2 * len(model.graph.tensors)
        free = {LOWER_BOUND, STRIP_OFFSET, *range(first, len(words), 2)}
        taken = [t for t in taken if t[0] not in free]
    else:
        # TFLM may plan a streamed image itself; one subgraph is also written as number 0.
        image = 3 + model.graph.inputs[0]
        taken = [t for t in taken if t not in [(1, 1, 0), (image, words[image], -1)]]
    assert taken == []


def test_of_tflms_entry_alone_overlaps_are_refused() -> None:
    """As another tool would plan: what it moves onto a live tensor is refused, gaps are not."""
    model = with_entry(parse(CONTENTS["plain"]()), PLAN_NAME, None)
    check_plans(model)
    words = words_of(model, OFFLINE_NAME)
    far = [w if i < 3 or w < 0 else w + 4096 for i, w in enumerate(words)]
    check_plans(with_entry(model, OFFLINE_NAME, struct.pack(f"<{len(far)}i", *far)))
    flat = [w if i < 3 or w < 0 else 0 for i, w in enumerate(words)]
    with pytest.raises(PlanError, match=f"{OFFLINE_NAME}: unsafe plan: .* share bytes"):
        check_plans(with_entry(model, OFFLINE_NAME, struct.pack(f"<{len(flat)}i", *flat)))


def test_two_entries_that_agree_on_an_overlap_are_refused() -> None:
    model = parse(CONTENTS["resident"]())
    plan = metadata.parsed_plan(model)
    flat = tuple(s and dataclasses.replace(s, offset=0) for s in plan.tensors)
    changed = metadata.with_plan(model, dataclasses.replace(plan, tensors=flat))
    with pytest.raises(PlanError, match=r"unsafe plan: .* share bytes"):
        check_plans(changed)


def test_two_entries_of_a_name_are_refused() -> None:
    model = parse(CONTENTS["resident"]())
    for name in (PLAN_NAME, OFFLINE_NAME):
        again = next(m for m in model.metadata if m.name == name)
        with pytest.raises(PlanError, match="got 2 entries, expected one"):
            check_plans(dataclasses.replace(model, metadata=(*model.metadata, again)))


def test_whoever_reads_a_plan_refuses_a_changed_one() -> None:
    model = parse(CONTENTS["resident"]())
    words = words_of(model, OFFLINE_NAME)
    place = next(i for i in range(3, len(words)) if words[i] > 0)
    words[place] -= 16
    content = serialize(with_entry(model, OFFLINE_NAME, struct.pack(f"<{len(words)}i", *words)))
    for read in (read_plan, inspect_model, device_plan):
        with pytest.raises(PlanError, match=f"{OFFLINE_NAME}: got offset"):
            read(content)
    with pytest.raises(CompileError, match=f"{OFFLINE_NAME}: got offset"):
        HostModel(content)
    with pytest.raises(TflmModelError, match=f"{OFFLINE_NAME}: got offset"):
        TflmInterpreter(content)


def test_an_arena_that_is_too_small_is_no_plan() -> None:
    """`inspect` printed "arena 8 ... optimal" of such a file."""
    model = parse(CONTENTS["resident"]())
    plan = dataclasses.replace(metadata.parsed_plan(model), arena_bytes=8, lower_bound_bytes=8)
    with pytest.raises(PlanError, match="got an arena of 8 bytes, expected"):
        inspect_model(serialize(metadata.with_plan(model, plan)))
